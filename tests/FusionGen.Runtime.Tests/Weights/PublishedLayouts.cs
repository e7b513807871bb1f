namespace FusionGen.Runtime.Tests.Weights;

/// <summary>How a backbone is published.</summary>
/// <param name="Layout">Whose names its tensors have.</param>
/// <param name="Save">Writes tensors in its format.</param>
/// <param name="Tensors">What is in it, of a backbone of timm's names.</param>
internal sealed record PublishedFile(string Layout, Action<string, IReadOnlyList<Named>> Save, Func<PublishedLayouts, IReadOnlyList<Named>, IReadOnlyList<Named>> Tensors)
{
    public void Write(string path, PublishedLayouts vit, IReadOnlyList<Named> tensors) => this.Save(path, this.Tensors(vit, tensors));
}

/// <summary>A ViT's tensors under timm's names, and the same as each publisher names and shapes them.</summary>
internal sealed record PublishedLayouts(int Width, int Depth, int Heads, int Mlp, int Patch, int Grid)
{
    public static PublishedLayouts Small { get; } = new(Width: 8, Depth: 2, Heads: 2, Mlp: 12, Patch: 2, Grid: 3);

    /// <summary>ViT-B/16 at 224 pixels.</summary>
    public static PublishedLayouts Base { get; } = new(768, 12, 12, 3072, 16, 14);

    /// <summary>Every file that one backbone is written as, with what publishers leave in it besides.</summary>
    public static IReadOnlyDictionary<string, PublishedFile> Files { get; } = new Dictionary<string, PublishedFile>(StringComparer.Ordinal)
    {
        ["timm.safetensors"] = new("timm", WeightWriters.SafeTensors, (_, tensors) => tensors),
        ["timm.pth"] = new("timm", (path, tensors) => WeightWriters.Torch(path, tensors), (_, tensors) => [.. tensors, Named.Of("head.weight", 11, 8), Named.Of("head.bias", 11)]),
        ["mae.pth"] = new("mae", (path, tensors) => WeightWriters.Torch(path, tensors, "model"), (_, tensors) => [.. tensors, Named.Of("mask_token", 1, 1, 4), Named.Of("decoder_embed.weight", 4, 8)]),
        ["moco.pth.tar"] = new("moco-v3", (path, tensors) => WeightWriters.TorchLegacy(path, tensors, "state_dict"), (_, tensors) =>
            [.. Prefixed("module.base_encoder.", tensors), Named.Of("module.base_encoder.head.0.weight", 4, 8), Named.Of("module.momentum_encoder.norm.weight", 8), Named.Of("module.predictor.0.weight", 2, 2)]),
        ["moco-linear.pth.tar"] = new("moco-v3", (path, tensors) => WeightWriters.Torch(path, tensors, "state_dict"), (_, tensors) => Prefixed("module.", tensors)),
        ["huggingface.safetensors"] = new("huggingface", WeightWriters.SafeTensors, (_, tensors) => [.. HuggingFace(tensors), Named.Of("pooler.dense.weight", 8, 8)]),
        ["google.npz"] = new("google", (path, tensors) => WeightWriters.Numpy(path, tensors), (vit, tensors) => [.. vit.Google(tensors), Named.Of("head/kernel", 8, 11), Named.Of("head/bias", 11), Named.Of("pre_logits/kernel", 8, 8)]),
        ["augreg.npz"] = new("google", (path, tensors) => WeightWriters.Numpy(path, tensors), (vit, tensors) => Prefixed("opt/target/", vit.Google(tensors))),
        ["bigvision.npz"] = new("google", (path, tensors) => WeightWriters.Numpy(path, tensors), (vit, tensors) => BigVision(vit.Google(tensors))),
        ["stacked.npz"] = new("google", (path, tensors) => WeightWriters.Numpy(path, tensors), (vit, tensors) => [.. vit.Stacked(BigVision(vit.Google(tensors)))]),
        ["vpt.pth"] = new("vpt", (path, tensors) => WeightWriters.Torch(path, tensors, "model"), (_, tensors) =>
            [.. Vpt(tensors), Named.Of("enc.transformer.deep_prompt_embeddings", 1, 5, 8), Named.Of("head.last_layer.weight", 9, 8)]),
        ["vapt.pth"] = new("vapt", (path, tensors) => WeightWriters.TorchLegacy(path, tensors, "model"), (_, tensors) =>
            [.. Vpt(tensors), Named.Of("enc.transformer.prompt_embeddings", 1, 5, 8), Named.Of("enc.transformer.deep_prompt_downsample.0.conv.kernel", 1, 1, 2, 2)]),
        ["pfd.pth"] = new("pfd", (path, tensors) => WeightWriters.Torch(path, tensors, "model"), (_, tensors) =>
            [.. Prefixed("backbone.", tensors), Named.Of("prompts.0", 5, 8), Named.Of("fusion_banks.k.operators.cross.key.weight", 2, 8), Named.Of("head.weight", 9, 8)]),
    };

    public IReadOnlyList<TensorSpec> Specs()
    {
        List<(string Name, long[] Shape)> tensors =
        [
            ("cls_token", [1, 1, this.Width]), ("pos_embed", [1, 1 + (this.Grid * this.Grid), this.Width]),
            ("patch_embed.proj.weight", [this.Width, 3, this.Patch, this.Patch]), ("patch_embed.proj.bias", [this.Width]),
            ("norm.weight", [this.Width]), ("norm.bias", [this.Width]),
        ];
        for (var i = 0; i < this.Depth; i++)
        {
            foreach (var (module, rows, columns) in new[] { ("attn.qkv", 3 * this.Width, this.Width), ("attn.proj", this.Width, this.Width), ("mlp.fc1", this.Mlp, this.Width), ("mlp.fc2", this.Width, this.Mlp) })
                tensors.AddRange([($"blocks.{i}.{module}.weight", [rows, columns]), ($"blocks.{i}.{module}.bias", [rows])]);
            foreach (var norm in new[] { "norm1", "norm2" })
                tensors.AddRange([($"blocks.{i}.{norm}.weight", [this.Width]), ($"blocks.{i}.{norm}.bias", [this.Width])]);
        }
        return [.. tensors.Select(tensor => new TensorSpec(tensor.Name, TensorRole.Frozen, tensor.Shape, Initializer.Zero))];
    }

    public IReadOnlyList<Named> Random()
    {
        var random = SplitMix.For(1, "weights");
        float[] Values(long count)
        {
            var values = new float[count];
            foreach (ref var value in values.AsSpan())
                value = (float)(random.NextDouble() - 0.5);
            return values;
        }

        return [.. this.Specs().Select(spec => new Named(spec.Name, [.. spec.Shape], Values(spec.Count)))];
    }

    private static List<Named> Prefixed(string prefix, IEnumerable<Named> tensors) => [.. tensors.Select(tensor => tensor with { Name = prefix + tensor.Name })];

    private IEnumerable<Named> Google(IEnumerable<Named> tensors) => tensors.SelectMany(tensor =>
    {
        var (d, e) = (this.Width, this.Width / this.Heads);
        if (tensor.Name is "patch_embed.proj.weight")
            return [new("embedding/kernel", [this.Patch, this.Patch, 3, d], this.Convolution(tensor.Values))];
        if (!tensor.Name.StartsWith("blocks.", StringComparison.Ordinal))
        {
            return [tensor with
            {
                Name = tensor.Name switch { "cls_token" => "cls", "pos_embed" => "Transformer/posembed_input/pos_embedding", "patch_embed.proj.bias" => "embedding/bias", "norm.weight" => "Transformer/encoder_norm/scale", _ => "Transformer/encoder_norm/bias" },
            }];
        }
        var parts = tensor.Name.Split('.');
        var (block, module, isWeight) = ($"Transformer/encoderblock_{parts[1]}/", string.Join('.', parts[2..^1]), parts[^1] == "weight");
        var kind = isWeight ? "kernel" : "bias";
        return module switch
        {
            "norm1" => [tensor with { Name = $"{block}LayerNorm_0/{(isWeight ? "scale" : "bias")}" }],
            "norm2" => [tensor with { Name = $"{block}LayerNorm_2/{(isWeight ? "scale" : "bias")}" }],
            "attn.qkv" => new[] { "query", "key", "value" }.Select((part, i) => new Named($"{block}MultiHeadDotProductAttention_1/{part}/{kind}", isWeight ? [d, this.Heads, e] : [this.Heads, e],
                isWeight ? Transposed(tensor.Values.AsSpan(i * d * d, d * d), d) : tensor.Values[(i * d)..((i + 1) * d)])),
            "attn.proj" => [new($"{block}MultiHeadDotProductAttention_1/out/{kind}", isWeight ? [this.Heads, e, d] : [d], isWeight ? Transposed(tensor.Values, d) : tensor.Values)],
            _ => new[] { new Named($"{block}MlpBlock_3/Dense_{(module == "mlp.fc1" ? 0 : 1)}/{kind}", isWeight ? [tensor.Shape[1], tensor.Shape[0]] : tensor.Shape, isWeight ? Transposed(tensor.Values, (int)tensor.Shape[0]) : tensor.Values) },
        };
    });

    private static List<Named> BigVision(IEnumerable<Named> tensors) => [.. tensors.Select(tensor => tensor with
    {
        Name = "params/" + tensor.Name.Replace("Transformer/posembed_input/", "", StringComparison.Ordinal).Replace("Attention_1", "Attention_0", StringComparison.Ordinal)
            .Replace("MlpBlock_3", "MlpBlock_0", StringComparison.Ordinal).Replace("LayerNorm_2", "LayerNorm_1", StringComparison.Ordinal),
    })];

    private IEnumerable<Named> Stacked(IReadOnlyList<Named> tensors) => tensors.GroupBy(tensor => System.Text.RegularExpressions.Regex.Replace(tensor.Name, @"encoderblock_\d+", "encoderblock"))
        .Select(group => group.Key.Contains("encoderblock", StringComparison.Ordinal) ? new Named(group.Key, [this.Depth, .. group.First().Shape], [.. group.SelectMany(tensor => tensor.Values)]) : group.Single());

    private static IEnumerable<Named> HuggingFace(IEnumerable<Named> tensors) => Apart(tensors,
        ("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"), ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("norm.", "layernorm."), ("blocks.", "encoder.layer."), (".norm1.", ".layernorm_before."), (".norm2.", ".layernorm_after."),
        (".attn.proj.", ".attention.output.dense."), (".mlp.fc1.", ".intermediate.dense."), (".mlp.fc2.", ".output.dense."), (".attn.", ".attention.attention."));

    private static List<Named> Vpt(IEnumerable<Named> tensors) => Prefixed("enc.transformer.", Apart(tensors,
        ("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"), ("patch_embed.proj.", "embeddings.patch_embeddings."),
        ("norm.", "encoder.encoder_norm."), ("blocks.", "encoder.layer."), (".norm1.", ".attention_norm."), (".norm2.", ".ffn_norm."),
        (".attn.proj.", ".attn.out."), (".mlp.", ".ffn.")));

    /// <summary>With queries, keys and values apart, and pieces of names replaced: at the start where they have no dot before them.</summary>
    private static IEnumerable<Named> Apart(IEnumerable<Named> tensors, params (string From, string To)[] names) => tensors.SelectMany(tensor =>
    {
        if (!tensor.Name.Contains(".attn.qkv.", StringComparison.Ordinal))
            return [tensor];
        var rows = tensor.Values.Length / 3;
        return new[] { "query", "key", "value" }.Select((part, i) => new Named(tensor.Name.Replace("qkv", part, StringComparison.Ordinal), [tensor.Shape[0] / 3, .. tensor.Shape[1..]], tensor.Values[(i * rows)..((i + 1) * rows)]));
    }).Select(tensor => tensor with
    {
        Name = names.Aggregate(tensor.Name, (name, pair) => pair.From[0] == '.' ? name.Replace(pair.From, pair.To, StringComparison.Ordinal)
            : name.StartsWith(pair.From, StringComparison.Ordinal) ? pair.To + name[pair.From.Length..] : name),
    });

    private float[] Convolution(float[] values)
    {
        var (outputs, places) = (this.Width, this.Patch * this.Patch);
        var target = new float[values.Length];
        for (var o = 0; o < outputs; o++)
        {
            for (var channel = 0; channel < 3; channel++)
            {
                for (var place = 0; place < places; place++)
                    target[(((place * 3) + channel) * outputs) + o] = values[(((o * 3) + channel) * places) + place];
            }
        }
        return target;
    }

    /// <summary>(rows, columns) as (columns, rows).</summary>
    private static float[] Transposed(ReadOnlySpan<float> values, int rows)
    {
        var columns = values.Length / rows;
        var target = new float[values.Length];
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++)
                target[(column * rows) + row] = values[(row * columns) + column];
        }
        return target;
    }
}
