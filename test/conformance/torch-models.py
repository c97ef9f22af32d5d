"""Exports small PyTorch models with an open batch to the folder given, with an input and the outputs PyTorch gives."""
import json
import sys
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
torch.manual_seed(0)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.position = nn.Parameter(torch.randn(1, 12, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
        self.layers = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, 7)

    def forward(self, x):
        tokens = self.layers(self.embedding(x) + self.position[:, : x.shape[1]])
        return self.head(tokens.mean(1)), F.normalize(tokens[:, 0], dim=-1)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.batch = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)
        self.group = nn.GroupNorm(4, 16)
        self.slope = nn.PReLU(16)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.adaptive = nn.AdaptiveAvgPool2d((2, 2))
        self.head = nn.Linear(64, 5)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x):
        x = torch.relu(self.batch(self.first(x)))
        x = F.hardswish(self.pool(self.slope(self.group(self.depthwise(x)))))
        larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(torch.flatten(self.adaptive(x), 1)), larger, self.shuffle(x)


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 24, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.norm = nn.LayerNorm(24)
        self.qkv = nn.Linear(24, 72)
        self.out = nn.Linear(24, 24)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], 1)
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(batch, tokens, 3, 4, width // 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * (width // 4) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, width))
        return x[:, 0], x.view(x.size(0), -1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(16, 5, batch_first=True)

    def forward(self, x):
        y, (hidden, _) = self.lstm(x)
        return self.gru(y)[0], hidden


class Functions(nn.Module):
    def forward(self, x):
        order = x.argsort(-1)[..., :2]
        product = torch.einsum("bij,bkj->bik", x, x)
        return (
            x.masked_fill(x > 0.5, -1.0),
            torch.topk(x, 3, dim=-1)[0],
            torch.cumsum(x, 1),
            torch.gather(x, 2, order),
            torch.where(x > 0, x, x.abs().pow(1.5)),
            torch.tril(product),
            x.std(-1),
            x.clamp(-0.3, 0.4),
            F.pad(x, (1, 2), value=0.5),
            torch.roll(x, 1, 1),
            torch.stack([x[:, ::2], x[:, 1::2]], 1),
        )


models = {
    "encoder": (Encoder(), torch.randint(0, 50, (3, 10)), (11, 17)),
    "convolutional": (Convolutional(), torch.randn(3, 3, 20, 20), (11, 17)),
    "patches": (Patches(), torch.randn(3, 3, 16, 16), (11, 17)),
    "recurrent": (Recurrent(), torch.randn(3, 9, 6), (11, 14)),
    "functions": (Functions(), torch.randn(3, 6, 8), (14, 17)),
}
folder = sys.argv[1]
for name, (model, x, opsets) in models.items():
    model.eval()
    outputs = [y.detach() for y in model(x)]
    for opset in opsets:
        torch.onnx.export(
            model,
            (x,),
            f"{folder}/{name}-{opset}.onnx",
            opset_version=opset,
            input_names=["x"],
            output_names=[f"y{i}" for i in range(len(outputs))],
            dynamic_axes={"x": {0: "batch"}},
        )
    described = {"x": x.numpy().ravel().tolist(), "shape": list(x.shape), "integer": not x.is_floating_point()}
    described["outputs"] = [{"shape": list(y.shape), "data": y.numpy().ravel().astype(np.float64).tolist()} for y in outputs]
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump(described, file)
