using System.Diagnostics.CodeAnalysis;

namespace FusionGen.Weights;

/// <summary>What a pickle holds.</summary>
/// <param name="Value">Its value.</param>
/// <param name="Storages">Every storage that it refers to, by key.</param>
/// <param name="Length">How many bytes it takes.</param>
internal sealed record Pickle(object? Value, IReadOnlyDictionary<string, TorchStorage> Storages, int Length);

/// <summary>What a pickle may call.</summary>
internal enum PickleCallable
{
    /// <summary><c>collections.OrderedDict</c>.</summary>
    OrderedDict,

    /// <summary><c>torch._utils._rebuild_tensor_v2</c>.</summary>
    RebuildTensor,

    /// <summary><c>torch._utils._rebuild_parameter</c>.</summary>
    RebuildParameter,
}

/// <summary>A storage class of PyTorch: the type of a storage's elements.</summary>
internal sealed record TorchStorageType(string Type);

/// <summary>Elements in a file, by the key that the pickle gives them.</summary>
internal sealed record TorchStorage(string Key, string Type, long Count);

/// <summary>A view of a storage.</summary>
internal sealed record TorchTensor(TorchStorage Storage, long Offset, IReadOnlyList<long> Shape, IReadOnlyList<long>? Strides);

/// <summary>A list of a pickle; memory comes with its first item.</summary>
internal sealed class PickleList
{
    private List<object?>? items;

    public IReadOnlyList<object?> Items => this.items ?? (IReadOnlyList<object?>)[];

    public void Add(object? item) => (this.items ??= []).Add(item);
}

/// <summary>A dict of a pickle, in order; memory comes with its first entry.</summary>
internal sealed class PickleDict
{
    private OrderedDictionary<object, object?>? entries;

    public IEnumerable<KeyValuePair<object, object?>> Entries => this.entries ?? Enumerable.Empty<KeyValuePair<object, object?>>();

    public bool TryAdd(object key, object? value) => (this.entries ??= []).TryAdd(key, value);

    public bool TryGet(string key, [NotNullWhen(true)] out object? value)
    {
        value = null;
        return this.entries?.TryGetValue(key, out value) == true && value is not null;
    }
}
