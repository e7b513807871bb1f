"""What the peers share: a case's tensors, a vision transformer's parts as timm builds them, and the answers to a benchmark's commands.

Needs torch 1.13 or newer and nothing else.
"""

import argparse
import json
import math
import struct
import sys
import time

import torch
import torch.nn.functional as F

TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read_safetensors(path):
    """The tensors of a file and its metadata."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(data, dtype=TYPES[entry["dtype"]], count=math.prod(entry["shape"]), offset=begin).reshape(entry["shape"]).clone()
    return tensors, metadata


def embed(images, w, patch):
    """Class token and patches, with their positions."""
    x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=patch).flatten(2).transpose(1, 2)
    return torch.cat([w["cls_token"].expand(x.shape[0], -1, -1), x], dim=1) + w["pos_embed"]


def norm(x, w, name):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)


def linear(x, w, name):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def attention(u, w, name, heads):
    batch, rows, width = u.shape
    q, k, v = linear(u, w, f"{name}.attn.qkv").reshape(batch, rows, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q * (width // heads) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
    return linear((weights @ v).transpose(1, 2).reshape(batch, rows, width), w, f"{name}.attn.proj")


def feed_forward(x, w, name):
    return linear(F.gelu(linear(norm(x, w, f"{name}.norm2"), w, f"{name}.mlp.fc1")), w, f"{name}.mlp.fc2")


def serve(build):
    """Builds what is measured from the case named on the command line, then answers one line of JSON to every line of input.

    build(tensors, settings, options) gives two functions of an argument: one does a step, one does a step and tells what it computed.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    parser.add_argument("--form", default="eager", help="of a forward pass: eager, traced or compiled")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    tensors, settings = read_safetensors(options.case)
    step, trace = build(tensors, settings, options)
    forget_peak()
    answer(torch=torch.__version__, threads=torch.get_num_threads(), resident=memory("VmRSS"))
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "step":
            start, worked = time.perf_counter(), time.process_time()
            step(argument)
            answer(seconds=time.perf_counter() - start, work=time.process_time() - worked, peak=memory("VmHWM"))
        elif command == "trace":
            answer(**{name: value.detach().flatten().tolist() for name, value in trace(argument).items()})
        else:
            raise ValueError(f"unknown command {command!r}")


def answer(**fields):
    print(json.dumps(fields), flush=True)


def memory(field):
    """A line of this process's status, in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next((1024 * int(line.split()[1]) for line in status if line.startswith(field + ":")), 0)
    except OSError:
        return 0


def forget_peak():
    """From here on the peak is that of the steps, not of reading the case."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
