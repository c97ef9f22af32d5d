"""The PyTorch contestant of the benchmark: answers JSON lines on standard input with JSON lines on standard output.

Two threads, oneDNN on. The cases, the numbers in them and the marks they are compared by are those of ../cases and
../samples.ts.
"""

import ctypes
import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

COTANGENT_SEED = 900
PROBE_SEED = 1000
COMPARED_STEPS = 3


def uniform(count, seed):
    bits = np.arange(count, dtype=np.uint32) + np.uint32((seed * 0x9E3779B9) & 0xFFFFFFFF)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return (bits ^ (bits >> np.uint32(16))) / 4294967296.0


def uniform_values(shape, seed, low=-1.0, high=1.0):
    return (low + (high - low) * uniform(int(np.prod(shape)), seed)).astype(np.float32).reshape(shape)


def sample(spec, position):
    values = uniform_values(spec["shape"], position + 1, spec["low"], spec["high"])
    if spec.get("dtype") == "i32":
        return torch.from_numpy(np.floor(values).astype(np.int64))
    return torch.from_numpy(values)


def mark(tensor, position):
    values = tensor.detach().numpy().astype(np.float64).ravel()
    probe = 2 * uniform(values.size, PROBE_SEED + position) - 1
    return {"value": float(values @ probe), "scale": float(np.sqrt(values @ values))}


# Suite core


def scan(decay, drive):
    """h_t = decay_t * h_(t-1) + drive_t from h = 0, one step after another, over axis 1."""
    state = torch.zeros_like(drive[:, 0])
    states = []
    for decay_t, drive_t in zip(decay.unbind(1), drive.unbind(1)):
        state = decay_t * state + drive_t
        states.append(state)
    return torch.stack(states, 1)


def operation(op, options):
    if op == "matmul":
        if options["transposeB"]:
            return lambda left, right: left @ right.transpose(-1, -2)
        return lambda left, right: left @ right
    if op == "conv":
        return lambda x, w: F.conv2d(
            x, w, stride=options["stride"], padding=options["padding"], groups=options["groups"]
        )
    if op == "softmax":
        return lambda x: torch.softmax(x, -1)
    if op == "layerNorm":
        return lambda x, scale, shift: F.layer_norm(x, scale.shape, scale, shift, options["eps"])
    if op == "gelu":
        return F.gelu
    if op == "scan":
        return scan
    if op == "selectiveScan":
        return lambda u, delta, a, b, c, d: selective_scan(
            u.transpose(1, 2), F.softplus(delta).transpose(1, 2), a, b.transpose(1, 2), c.transpose(1, 2), d
        ).transpose(1, 2)
    if op == "gather":
        return lambda table, ids: F.embedding(ids, table)
    if op == "resize":
        size = (options["size"], options["size"])
        return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=False)
    raise ValueError(f"no such operation: {op}")


def prepare_core(case):
    run_forward = operation(case["op"], case["attributes"])
    inputs = [sample(spec, position) for position, spec in enumerate(case["inputs"])]
    if case["mode"] == "forward":

        def run():
            with torch.no_grad():
                return [run_forward(*inputs)]

    else:
        wanted = [t.requires_grad_() for t, spec in zip(inputs, case["inputs"]) if spec.get("gradient")]
        with torch.no_grad():
            cotangent = torch.from_numpy(uniform_values(run_forward(*inputs).shape, COTANGENT_SEED))

        def run():
            output = run_forward(*inputs)
            return [output, *torch.autograd.grad(output, wanted, cotangent)]

    return run, [mark(tensor, position) for position, tensor in enumerate(run())]


# Suite train


def mlp_loss(p, batch, options, state):
    x = batch["input"]
    last = max(int(name.split(".")[1]) for name in p)
    for layer in range(last + 1):
        x = F.linear(x, p[f"layers.{layer}.weight"], p[f"layers.{layer}.bias"])
        if layer < last:
            x = F.relu(x)
    return F.cross_entropy(x, batch["labels"])


def cnn_loss(p, batch, options, state):
    def convolve(name, x, stride=1):
        weight = p[f"{name}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        width = weight.shape[0]
        mean, variance = state.setdefault(name, (torch.zeros(width), torch.ones(width)))
        return F.batch_norm(x, mean, variance, p[f"{name}.norm.weight"], p[f"{name}.norm.bias"], training=True)

    x = F.relu(convolve("stem", batch["input"]))
    for stage in range(options["stages"]):
        for block in range(options["blocks"]):
            name = f"stages.{stage}.{block}"
            shrinks = stage > 0 and block == 0
            stride = 2 if shrinks else 1
            branch = F.relu(convolve(f"{name}.first", x, stride))
            branch = convolve(f"{name}.second", branch)
            x = F.relu(branch + (convolve(f"{name}.shortcut", x, stride) if shrinks else x))
    return F.cross_entropy(F.linear(x.mean((2, 3)), p["head.weight"], p["head.bias"]), batch["labels"])


def vit_loss(p, batch, options, state):
    patch, width, heads = options["patch"], options["width"], options["heads"]
    x = batch["input"]
    count, channels, height, _ = x.shape
    side = height // patch
    x = x.reshape(count, channels, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5)
    x = x.reshape(count, side * side, channels * patch * patch)
    x = F.linear(x, p["embed.weight"], p["embed.bias"]) + p["position"]

    def norm(name, x):
        return F.layer_norm(x, (width,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

    def linear(name, x):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    for block in range(options["blocks"]):
        name = f"blocks.{block}"
        qkv = linear(f"{name}.qkv", norm(f"{name}.norm1", x))
        q, k, v = qkv.reshape(count, -1, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
        attention = torch.softmax(q @ k.transpose(-1, -2) * (width // heads) ** -0.5, -1)
        mixed = (attention @ v).transpose(1, 2).reshape(count, -1, width)
        x = x + linear(f"{name}.proj", mixed)
        x = x + linear(f"{name}.fc2", F.gelu(linear(f"{name}.fc1", norm(f"{name}.norm2", x))))
    return F.cross_entropy(linear("head", norm("norm", x).mean(1)), batch["labels"])


def selective_scan(u, step, a, b, c, d):
    """The recurrence h = exp(step a) h + step b u, y = c h + d u, one position after another; u, step: [batch, length, inner]."""
    decay = torch.exp(step.unsqueeze(-1) * a)
    drive = (step * u).unsqueeze(-1) * b.unsqueeze(2)
    state = torch.zeros_like(decay[:, 0])
    outputs = []
    for decay_t, drive_t, c_t in zip(decay.unbind(1), drive.unbind(1), c.unbind(1)):
        state = decay_t * state + drive_t
        outputs.append((state @ c_t.unsqueeze(-1)).squeeze(-1))
    return torch.stack(outputs, 1) + u * d


def mamba_loss(p, batch, options, state):
    inner, size, kernel, rank = (options[key] for key in ("inner", "state", "kernel", "rank"))
    x = batch["input"]
    width = x.shape[-1]
    normed = F.layer_norm(x, (width,), p["norm.weight"], p["norm.bias"], 1e-5)
    hidden, gate = F.linear(normed, p["in_proj.weight"]).chunk(2, -1)

    def direction(name, sequence):
        channels_first = F.pad(sequence.transpose(1, 2), (kernel - 1, 0))
        convolved = F.conv1d(channels_first, p[f"{name}.conv.weight"], p[f"{name}.conv.bias"], groups=inner)
        u = F.silu(convolved.transpose(1, 2))
        low, b, c = F.linear(u, p[f"{name}.x_proj.weight"]).split((rank, size, size), -1)
        step = F.softplus(F.linear(low, p[f"{name}.dt_proj.weight"], p[f"{name}.dt_proj.bias"]))
        return selective_scan(u, step, -torch.exp(p[f"{name}.A_log"]), b, c, p[f"{name}.D"])

    mixed = direction("forward", hidden) + direction("backward", hidden.flip(1)).flip(1)
    output = x + F.linear(mixed * F.silu(gate), p["out_proj.weight"])
    return F.mse_loss(output, batch["target"])


LOSSES = {"mlp": mlp_loss, "cnn": cnn_loss, "vit": vit_loss, "mamba": mamba_loss}


def prepare_train(case):
    loss_of = LOSSES[case["op"]]
    parameters, batch, state = {}, {}, {}
    for position, spec in enumerate(case["inputs"]):
        values = sample(spec, position)
        if spec.get("gradient"):
            parameters[spec["name"]] = values.requires_grad_()
        else:
            batch[spec["name"]] = values
    # foreach, PyTorch's horizontally fused update, is the faster of its forms here
    optimiser = torch.optim.AdamW(parameters.values(), lr=1e-3, weight_decay=0.01, foreach=True)

    def run():
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(parameters, batch, case["attributes"], state)
        loss.backward()
        optimiser.step()
        return loss

    losses = [float(run().detach()) for _ in range(COMPARED_STEPS)]
    return run, [{"value": loss, "scale": abs(loss)} for loss in losses]


# Conversation


def describe():
    blas = "unknown BLAS"
    try:
        library = ctypes.CDLL("libblas.so.3")
        library.openblas_get_corename.restype = ctypes.c_char_p
        blas = "OpenBLAS " + library.openblas_get_corename().decode()
    except (OSError, AttributeError):
        pass
    onednn = "oneDNN on" if torch.backends.mkldnn.is_available() else "oneDNN off"
    threads = torch.get_num_threads()
    return {"version": torch.__version__, "backend": f"{blas}, {onednn}, {threads} threads"}


def measure(run, seconds, most):
    times = []
    begin = time.perf_counter()
    while True:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        times.append((end - start) * 1000)
        if end - begin >= seconds or len(times) >= most:
            return times


def main():
    torch.set_num_threads(2)
    run = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if message["do"] == "describe":
                answer = describe()
            elif message["do"] == "prepare":
                case = message["case"]
                begin = time.perf_counter()
                run, marks = (prepare_core if case["suite"] == "core" else prepare_train)(case)
                answer = {"marks": marks, "prepareSeconds": time.perf_counter() - begin}
            elif message["do"] == "measure":
                answer = {"times": measure(run, message["seconds"], message["most"])}
            elif message["do"] == "release":
                run = None
                answer = {"peakMegabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
            else:
                raise ValueError(f"no such request: {message['do']}")
        except Exception as error:  # an operation that cannot run is a result, not the end of the race
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
