#!/usr/bin/env python3
"""The same app in Python: VPT-deep on ViT-B/16 in plain torch.

usage: predict.py make FOLDER      rewrites what `deploy make FOLDER` wrote as torch files
       predict.py predict FOLDER   loads them, classifies the image and says what that took
"""

import json
import os
import resource
import struct
import sys
import time


def seconds_since_start():
    with open("/proc/self/stat") as file:
        started = int(file.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    with open("/proc/uptime") as file:
        return float(file.read().split()[0]) - started


import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads, mlp):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, mlp), "fc2": nn.Linear(mlp, width)})

    def forward(self, x):
        batch, rows, width = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).reshape(batch, rows, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * (width // self.heads) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        x = x + self.attn["proj"]((weights @ v).transpose(1, 2).reshape(batch, rows, width))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Vpt(nn.Module):
    def __init__(self, image=224, patch=16, width=768, depth=12, heads=12, mlp=3072, prompts=10, classes=100):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, width))
        self.prompts = nn.ParameterList(nn.Parameter(torch.zeros(prompts, width)) for _ in range(depth))
        self.blocks = nn.ModuleList(Block(width, heads, mlp) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block, prompts in zip(self.blocks, self.prompts):
            rows = x.shape[1]
            x = block(torch.cat([x, prompts.unsqueeze(0).expand(x.shape[0], -1, -1)], dim=1))[:, :rows]
        return self.head(self.norm(x[:, 0]))


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    return {name: torch.frombuffer(data, dtype=torch.float32)[entry["data_offsets"][0] // 4:entry["data_offsets"][1] // 4].reshape(entry["shape"]).clone() for name, entry in header.items()}


def main():
    action, folder = sys.argv[1:]
    weights, image = os.path.join(folder, "model.pt"), os.path.join(folder, "image.pt")
    if action == "make":
        torch.save({**read_safetensors(os.path.join(folder, "backbone.safetensors")), **read_safetensors(os.path.join(folder, "adapter", "adapter_model.safetensors"))}, weights)
        torch.save(read_safetensors(os.path.join(folder, "image.safetensors"))["image"], image)
        return
    torch.set_num_threads(os.cpu_count())
    model = Vpt().eval()
    model.load_state_dict(torch.load(weights))
    pixels = torch.load(image)
    with torch.inference_mode():
        first = model(pixels)[0]
        seconds = seconds_since_start()
        start = time.perf_counter()
        for _ in range(5):
            model(pixels)
        each = (time.perf_counter() - start) / 5
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"first {seconds:.2f} s, then {1000 * each:.0f} ms each, peak {peak} MiB, logits {first[0]:.5f} {first[99]:.5f}")


main()
