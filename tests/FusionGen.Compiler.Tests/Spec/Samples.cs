namespace FusionGen.Compiler.Tests.Spec;

/// <summary>Valid specs that use every key between them.</summary>
internal static class Samples
{
    public const string Sprites = """
        # A small vision transformer on sprites.
        fusiongen: 1
        model: Sprites
        namespace: FusionGen.Demo
        doc: Where is the sprite?
        data: sprites:location
        backbone: { family: vit, image: 64, patch: 8, width: 192, depth: 12, heads: 3, mlp: 768, pool: cls, weights: weights/small.safetensors }
        classes: 16
        head: zero
        tune: prompts
        prompts: { tokens: 10, init: { normal: 0.02 } }
        operators:
          add:    { kind: add, cost: 0.5 }
          affine: { kind: affine, reduction: 4, share: true }
          concat: { kind: concat, identity: 10, top: 4, share: true }
          cross:  { kind: cross-attention, reduction: 4, share: false }
        layers:
          - { at: 0..9, candidates: [add, affine, concat, cross] }
          - { at: [10, 11..11], candidates: [] }
        search:
          order: second-fd
          relaxation: gdas
          epochs: 90
          warmup: 10
          stop: 3
          batch: 32
          temperature: { from: 5, to: 0.001, curve: cosine }
          entropy: 0.01
          cost: 0.05
          clip: 1
          every: validation-batch
          optimizer: { kind: adamw, lr: 1e-3, weight-decay: 0.01, betas: [0.9, 0.99] }
          architecture: { kind: sgd, momentum: 0.5, bias-multiplier: 2 }
          split: 0.2
          discretise: perturbation
          perturb: { layers: 2, epochs: 3 }
          alarm: { share: 0.8, entropy: 0.2 }
        train: { epochs: 10, warmup: 0, batch: 64, clip: 2.5, continue: true, preprocessing: vpt-vtab, normalization: half, optimizer: { kind: sgd, lr: 0.1 } }
        budget: { tuned: 0.75%, memory: 4GiB }
        """;

    public const string Preset = """
        fusiongen: 1
        model: Base
        namespace: My.App
        backbone: { preset: vit_base_patch16_224, pool: mean }
        classes: 100
        prompts:
          init: { uniform: 0.0625 }
        operators: { deep: { kind: prefix }, skip: { kind: none } }
        layers:
        - at: 0
          candidates: [deep]
        - at: 1..11
          candidates:
          - deep
          - skip
        """;

    public const string Swin = """
        fusiongen: 1
        model: Windows
        namespace: A
        backbone: { family: swin, image: 224, patch: 4, width: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24], window: 7 }
        classes: 10
        tune: all
        """;

    public static IReadOnlyList<string> All { get; } = [Sprites, Preset, Swin];
}
