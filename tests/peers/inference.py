#!/usr/bin/env python3
"""A forward pass of a discretised prompt-fusion network in PyTorch, to be timed beside FusionGen's.

A plain ViT as timm builds it with one fusion operator at the attention input of each layer. What depends on parameters only is not expanded
to the batch, so that freezing folds it away. Written from the published formulas.

usage: inference.py CASE.safetensors [--threads N] [--form eager|traced|compiled]

traced: torch.jit.trace, freeze, optimize_for_inference. compiled: torch.compile, where torch has it.
"step" runs a forward pass; "trace" runs one and tells the logits.
"""

import torch
import torch.nn.functional as F

from peer import attention, embed, feed_forward, norm, serve


class Hybrid(torch.nn.Module):
    def __init__(self, tensors, settings):
        super().__init__()
        self.heads, self.patch, self.top = (int(settings[key]) for key in ("heads", "patch", "top"))
        self.policy = settings["policy"].split(",")
        self.names = list(tensors)
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "__"), value)

    def forward(self, images):
        w = {name: getattr(self, name.replace(".", "__")) for name in self.names}
        x = embed(images, w, self.patch)
        for layer, operator in enumerate(self.policy):
            name = f"blocks.{layer}"
            u = getattr(self, operator)(norm(x, w, f"{name}.norm1"), w[f"prompts.{layer}"], w)
            x = x + attention(u, w, name, self.heads)
            x = x + feed_forward(x, w, name)
        return F.linear(norm(x[:, 0], w, "norm"), w["head.weight"], w["head.bias"])

    @staticmethod
    def summary(prompts):
        return F.layer_norm(prompts.mean(dim=0), prompts.shape[-1:])

    def add(self, u, prompts, w):
        return u + self.summary(prompts)

    def affine(self, u, prompts, w):
        s = self.summary(prompts)
        gain, shift = (
            F.linear(
                F.silu(F.linear(s, w[f"operators.affine.{part}.0.weight"], w[f"operators.affine.{part}.0.bias"])),
                w[f"operators.affine.{part}.2.weight"], w[f"operators.affine.{part}.2.bias"])
            for part in ("gamma", "beta"))
        return 2 * torch.sigmoid(gain) * u + shift

    def concat(self, u, prompts, w):
        logits = w["operators.concat.logits"]
        largest, places = logits.topk(self.top, dim=0)
        mixing = torch.zeros_like(logits).scatter(0, places, largest.softmax(dim=0)).t()
        return mixing[:, :prompts.shape[0]] @ prompts + mixing[:, prompts.shape[0]:] @ u

    def cross(self, u, prompts, w):
        q = F.linear(u, w["operators.cross.query.weight"]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = (F.linear(prompts, w[f"operators.cross.{part}.weight"]).unflatten(-1, (self.heads, -1)).transpose(0, 1) for part in ("key", "value"))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return u + F.linear((weights @ v).transpose(1, 2).flatten(2), w["operators.cross.output.weight"])


def build(tensors, settings, options):
    images = tensors.pop("images")
    model = Hybrid(tensors, settings).eval()
    with torch.inference_mode():
        if options.form == "traced":
            model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))
        elif options.form == "compiled":
            model = torch.compile(model, mode="max-autotune")

    @torch.inference_mode()
    def step(_):
        return model(images)

    return step, lambda _: {"logits": step(_)}


if __name__ == "__main__":
    serve(build)
