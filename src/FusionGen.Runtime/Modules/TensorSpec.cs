namespace FusionGen;

/// <summary>What a parameter is to training.</summary>
public enum TensorRole
{
    /// <summary>Part of the frozen backbone.</summary>
    Frozen,

    /// <summary>Tuned: prompts and operator weights.</summary>
    Tuned,

    /// <summary>Tuned: the classification head.</summary>
    Head,

    /// <summary>α: weighs a layer's candidates; searched, never tuned.</summary>
    Architecture,

    /// <summary>An operator's that is set and not tuned: a mask that pruning has found.</summary>
    Fixed,
}

/// <summary>A parameter of a generated network.</summary>
/// <param name="Name">timm's name for backbone and head; <c>prompts.{layer}</c>, <c>operators.{name}[.{layer}].…</c>, <c>architecture.{layer}</c> for the rest.</param>
/// <param name="Role">What it is to training.</param>
/// <param name="Shape">Its dimensions.</param>
/// <param name="Initializer">Where it starts.</param>
public sealed record TensorSpec(string Name, TensorRole Role, IReadOnlyList<long> Shape, Initializer Initializer)
{
    /// <summary>Number of elements.</summary>
    public long Count => this.Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Whether gradient descent on the training split moves it.</summary>
    public bool IsTuned => this.Role is TensorRole.Tuned or TensorRole.Head;

    /// <summary>Whether an adapter holds it.</summary>
    public bool IsAdapted => this.IsTuned || this.Role == TensorRole.Fixed;

    /// <summary>Parameters of layers that are alike, layer by layer.</summary>
    /// <param name="first">The first layer.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="specs">Those of one layer.</param>
    public static IEnumerable<TensorSpec> Each(int first, int count, Func<int, TensorSpec[]> specs) => Enumerable.Range(first, count).SelectMany(specs);
}
