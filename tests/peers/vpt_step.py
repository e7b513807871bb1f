#!/usr/bin/env python3
"""A training step of VPT-deep in eager PyTorch, to be timed beside FusionGen's.

A plain ViT as timm builds it, frozen; before every block the prompts of that block, expanded to the batch, stand between the class token
and the patches in place of the rows that the block before left there; the head reads the class token. Cross-entropy, SGD with momentum on
prompts and head. Written from the published formulas (Jia et al. 2022), prompt dropout 0.

usage: vpt_step.py CASE.safetensors [--threads N]

"step" runs a training step; "trace" runs one and tells the logits and gradients of it.
"""

import math

import torch
import torch.nn.functional as F

from peer import attention, embed, feed_forward, norm, serve


class PromptedTransformer(torch.nn.Module):
    def __init__(self, tensors, settings):
        super().__init__()
        self.depth, self.heads, self.patch = (int(settings[key]) for key in ("depth", "heads", "patch"))
        tuned = set(settings["tuned"].split(","))
        self.frozen = {name: value for name, value in tensors.items() if name not in tuned}
        self.tuned = torch.nn.ParameterDict({name.replace(".", "__"): torch.nn.Parameter(tensors[name]) for name in tensors if name in tuned})

    def named(self, name):
        return self.tuned[name.replace(".", "__")]

    def forward(self, images):
        w = self.frozen
        x = embed(images, w, self.patch)
        for layer in range(self.depth):
            prompts = self.named(f"prompts.{layer}").unsqueeze(0)
            before = 1 if layer == 0 else 1 + prompts.shape[1]
            x = torch.cat([x[:, :1], prompts.expand(x.shape[0], -1, -1), x[:, before:]], dim=1)
            name = f"blocks.{layer}"
            x = x + attention(norm(x, w, f"{name}.norm1"), w, name, self.heads)
            x = x + feed_forward(x, w, name)
        return F.linear(norm(x, w, "norm")[:, 0], self.named("head.weight"), self.named("head.bias"))


def build(tensors, settings, options):
    images, labels = tensors.pop("train.images"), tensors.pop("train.labels")
    model = PromptedTransformer(tensors, settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=float(settings["rate"]), momentum=float(settings["momentum"]), weight_decay=float(settings["decay"]))

    def step(_):
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise FloatingPointError("the loss is not a number")
        return logits

    def trace(_):
        logits = step(_)
        return {"logits": logits, **{f"gradient of {name}": model.named(name).grad for name in ("prompts.0", f"prompts.{model.depth - 1}", "head.weight")}}

    return step, trace


if __name__ == "__main__":
    serve(build)
