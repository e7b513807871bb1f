#!/usr/bin/env python3
"""The search step of "Prompt Fusion Discovery" in eager PyTorch, to be timed beside FusionGen's.

A plain ViT as timm builds it, every fusion operator computed on its own at the attention input with the prompts expanded to the
batch, their outputs mixed by softmax(alpha / tau); AdamW on the weights, AdamW on alpha. Written from the published formulas.

usage: search_step.py CASE.safetensors [--threads N]

CASE holds parameters, two batches and the constants (in its metadata). "step ORDER" runs a search step that takes alpha's gradient as ORDER
says (first, second-exact, second-fd, second-forward); "trace ORDER" runs one and tells its logits and alpha's gradient.
"""

import math

import torch
import torch.nn.functional as F

from peer import attention, embed, feed_forward, norm, serve


class Supernet:
    """A function of images and a dictionary of parameters; alpha is the rows of `architecture.<layer>`."""

    def __init__(self, settings):
        self.depth, self.heads, self.patch = (int(settings[key]) for key in ("depth", "heads", "patch"))
        self.temperature = float(settings["temperature"])
        self.candidates = settings["candidates"].split(",")

    def mixture(self, w, layer):
        return torch.softmax(w[f"architecture.{layer}"] / self.temperature, dim=0)

    def __call__(self, images, w):
        x = embed(images, w, self.patch)
        for layer in range(self.depth):
            name = f"blocks.{layer}"
            x = x + attention(self.fuse(norm(x, w, f"{name}.norm1"), w, layer), w, name, self.heads)
            x = x + feed_forward(x, w, name)
        return F.linear(norm(x, w, "norm")[:, 0], w["head.weight"], w["head.bias"])

    def fuse(self, u, w, layer):
        prompts = w[f"prompts.{layer}"].unsqueeze(0).expand(u.shape[0], -1, -1)
        outputs = [getattr(self, candidate)(u, prompts, w) for candidate in self.candidates]
        pi = self.mixture(w, layer)
        return sum(pi[i] * output for i, output in enumerate(outputs))

    @staticmethod
    def summary(prompts):
        return F.layer_norm(prompts.mean(dim=1), prompts.shape[-1:])

    def add(self, u, prompts, w):
        return u + self.summary(prompts).unsqueeze(1)

    def affine(self, u, prompts, w):
        s = self.summary(prompts)
        gain, shift = (
            F.linear(
                F.silu(F.linear(s, w[f"operators.affine.{part}.0.weight"], w[f"operators.affine.{part}.0.bias"])),
                w[f"operators.affine.{part}.2.weight"], w[f"operators.affine.{part}.2.bias"])
            for part in ("gamma", "beta"))
        return 2 * torch.sigmoid(gain).unsqueeze(1) * u + shift.unsqueeze(1)

    def concat(self, u, prompts, w):
        return torch.softmax(w["operators.concat.logits"], dim=0).t() @ torch.cat([prompts, u], dim=1)

    def cross(self, u, prompts, w):
        q, k, v = (
            F.linear(rows, w[f"operators.cross.{part}.weight"]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part, rows in (("query", u), ("key", prompts), ("value", prompts)))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return u + F.linear((weights @ v).transpose(1, 2).flatten(2), w["operators.cross.output.weight"])


class Search:
    def __init__(self, tensors, settings):
        self.net = Supernet(settings)
        self.rate, self.entropy, self.cost, self.clip = (float(settings[key]) for key in ("rate", "entropy", "cost", "clip"))
        self.costs = torch.tensor([float(cost) for cost in settings["costs"].split(",")])
        self.batches = {split: (tensors.pop(f"{split}.images"), tensors.pop(f"{split}.labels")) for split in ("train", "validation")}
        tuned = set(settings["tuned"].split(","))
        self.frozen = {name: value for name, value in tensors.items() if name not in tuned and not name.startswith("architecture.")}
        self.weights = {name: tensors[name].requires_grad_() for name in tensors if name in tuned}
        self.alphas = {name: tensors[name].requires_grad_() for name in (f"architecture.{layer}" for layer in range(self.net.depth))}
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=self.rate, weight_decay=float(settings["decay"]))
        self.architecture = torch.optim.AdamW(self.alphas.values(), lr=float(settings["architecture_rate"]), weight_decay=0.0)

    def loss(self, split, weights, alphas):
        images, labels = self.batches[split]
        self.logits = self.net(images, {**self.frozen, **weights, **alphas})
        return F.cross_entropy(self.logits, labels)

    def objective(self, weights):
        total = self.loss("validation", weights, self.alphas)
        for layer in range(self.net.depth):
            pi = self.net.mixture(self.alphas, layer)
            total = total + self.entropy * (pi * pi.log()).sum() + self.cost * (pi * self.costs).sum()
        return total

    def gradients(self, loss, leaves, create_graph=False):
        return torch.autograd.grad(loss, list(leaves.values()), create_graph=create_graph, allow_unused=True)

    def step_weights(self):
        fixed = {name: alpha.detach() for name, alpha in self.alphas.items()}
        loss = self.loss("train", self.weights, fixed)
        for parameter, gradient in zip(self.weights.values(), self.gradients(loss, self.weights)):
            parameter.grad = gradient
        self.optimizer.step()
        return loss.item()

    def step_architecture(self, order):
        gradients = {"first": self.first, "second-exact": self.second_exact, "second-fd": self.second_differences, "second-forward": self.second_forward}[order]()
        for parameter, gradient in zip(self.alphas.values(), gradients):
            parameter.grad = gradient
        self.gradient = [gradient.clone() for gradient in gradients]
        torch.nn.utils.clip_grad_norm_(list(self.alphas.values()), self.clip)
        self.architecture.step()

    def first(self):
        fixed = {name: weight.detach() for name, weight in self.weights.items()}
        return self.gradients(self.objective(fixed), self.alphas)

    def second_exact(self):
        gradients = self.gradients(self.loss("train", self.weights, self.alphas), self.weights, create_graph=True)
        stepped = {name: weight - self.rate * gradient for (name, weight), gradient in zip(self.weights.items(), gradients)}
        return self.gradients(self.objective(stepped), self.alphas)

    def along(self, gradients, length):
        """Alpha's gradient at the stepped weights; along what it is differentiated again, by which length; and a function of it there."""
        stepped = {
            name: (weight.detach() - self.rate * gradient).requires_grad_()
            for (name, weight), gradient in zip(self.weights.items(), gradients)}
        both = self.gradients(self.objective(stepped), {**self.alphas, **stepped})
        direct, vector = both[:len(self.alphas)], both[len(self.alphas):]
        radius = length / torch.stack([direction.norm() for direction in vector]).norm()

        def alpha_gradients(sign):
            moved = {name: weight.detach() + sign * radius * direction for (name, weight), direction in zip(self.weights.items(), vector)}
            return self.gradients(self.loss("train", moved, self.alphas), self.alphas)

        return direct, radius, alpha_gradients

    def second_differences(self):
        fixed = {name: alpha.detach() for name, alpha in self.alphas.items()}
        direct, radius, alpha_gradients = self.along(self.gradients(self.loss("train", self.weights, fixed), self.weights), 0.01)
        return [a - self.rate * (up - down) / (2 * radius) for a, up, down in zip(direct, alpha_gradients(+1), alpha_gradients(-1))]

    def second_forward(self):
        both = self.gradients(self.loss("train", self.weights, self.alphas), {**self.weights, **self.alphas})
        direct, radius, alpha_gradients = self.along(both[:len(self.weights)], 0.0003)
        return [a - self.rate * (up - start) / radius for a, up, start in zip(direct, alpha_gradients(+1), both[len(self.weights):])]

    def step(self, order):
        """DARTS moves alpha before the weights; the authors' code and the first order as we run it, after."""
        differences = order in ("second-fd", "second-forward")
        if differences:
            self.step_architecture(order)
        loss = self.step_weights()
        self.train_logits = self.logits
        if not differences:
            self.step_architecture(order)
        if not math.isfinite(loss):
            raise FloatingPointError("the loss is not a number")

    def trace(self, order):
        self.step(order)
        return {"logits": self.train_logits, "gradient of alpha": torch.cat(self.gradient)}


def build(tensors, settings, options):
    search = Search(tensors, settings)
    return search.step, search.trace


if __name__ == "__main__":
    serve(build)
