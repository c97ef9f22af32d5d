declare module 'jstat' {
  const jstat: {
    /** Student's t distribution. */
    readonly studentt: {
      /** The value that a share `p` lies below, with `dof` degrees of freedom. */
      inv(p: number, dof: number): number
    }
  }
  // biome-ignore lint/style/noDefaultExport: this is how the package exports
  export default jstat
}
