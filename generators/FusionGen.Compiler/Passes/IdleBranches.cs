using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>A candidate of a layer.</summary>
/// <param name="Mixture">The layer's π.</param>
/// <param name="Index">Its place among the layer's candidates.</param>
internal readonly record struct Candidate(MixtureOp Mixture, int Index);

/// <summary>
/// What a candidate costs nothing by whose π is exactly 0, be it that another was drawn, that it was masked or that its share underflowed (METHOD §6.2):
/// operations whose result is then zero, as a product with π is, and operations whose result nobody then reads. ∂L/∂π of such a candidate counts as zero:
/// π ⊙ (∂L/∂π − ⟨π, ∂L/∂π⟩) does not depend on it. A section knows its own candidates alone, as it stands for others like it; what sections have in common knows none.
/// </summary>
internal sealed class IdleBranches
{
    private static readonly Candidate[] None = [];
    // By the values' ids.
    private readonly Candidate[]?[] zero;
    private readonly Candidate[]?[] unread;
    private readonly Candidate[]?[] needs;
    private readonly Sections sections;

    private IdleBranches(Sections sections, int count) => (this.sections, this.zero, this.unread, this.needs) = (sections, new Candidate[]?[count], new Candidate[]?[count], new Candidate[]?[count]);

    /// <summary>Looks at a graph.</summary>
    /// <param name="sections">The network's.</param>
    /// <param name="values">Everything computed, in topological order.</param>
    /// <param name="results">What is wanted.</param>
    /// <param name="gradients">Gradients, by what they are the gradient of; null for a forward pass.</param>
    public static IdleBranches Of(Sections sections, IReadOnlyList<Value> values, IEnumerable<Value> results, IReadOnlyDictionary<Value, Value>? gradients)
    {
        var idle = new IdleBranches(sections, values.Max(value => value.Id) + 1);
        if (!values.Any(value => value.Op is MixtureOp { Log: false }))
            return idle;
        foreach (var pair in gradients ?? new Dictionary<Value, Value>())
        {
            if (pair.Key.Op is MixtureOp { Log: false } mixture)
                idle.Embedded(pair.Value, mixture);
        }
        Predicate<Value> mayBeZero = idle.MayBeZero;
        foreach (var value in values)
        {
            if (value.Op is SelectOp || idle.zero[value.Id] is not null || Array.Exists(value.InputArray, mayBeZero))
                idle.zero[value.Id] = idle.Own(value, Union(idle.Zero(value), idle.ZeroBy(value)));
        }
        idle.Read(values, [.. results]);
        return idle;
    }

    /// <summary>Candidates without any of which the value need not be computed: it is zero, or nobody reads it.</summary>
    public Candidate[] Needs(Value value)
    {
        var (zero, unread) = (this.Zero(value), this.Unread(value));
        return zero.Length == 0 ? unread : unread.Length == 0 ? zero : this.needs[value.Id] ??= [.. Union(zero, unread).OrderBy(candidate => candidate.Index)];
    }

    /// <summary>Whether the value is read without a candidate that it is zero without.</summary>
    public bool IsReadThoughZero(Value value)
    {
        foreach (var candidate in this.Zero(value))
        {
            if (Array.IndexOf(this.Unread(value), candidate) < 0)
                return true;
        }
        return false;
    }

    /// <summary>∂L/∂π is put together from its entries.</summary>
    private void Embedded(Value gradient, MixtureOp mixture)
    {
        if (gradient.Op is EmbedOp embed)
            this.zero[gradient.Id] = [new Candidate(mixture, embed.Start)];
        if (gradient.Op is not AddOp)
            return;
        foreach (var input in gradient.InputArray)
            this.Embedded(input, mixture);
    }

    /// <summary>Of candidates, those of the value's own section.</summary>
    private Candidate[] Own(Value value, Candidate[] candidates) =>
        candidates.Length == 0 || this.sections.Find(value.Scope) is not { } section ? None : Only(candidates, section.Mixture, static (candidate, mixture) => candidate.Mixture.Layer == mixture);

    private Candidate[] Zero(Value value) => this.zero[value.Id] ?? None;

    private bool MayBeZero(Value value) => this.Zero(value).Length > 0;

    private Candidate[] Unread(Value value) => this.unread[value.Id] ?? None;

    /// <summary>By the operation and its inputs.</summary>
    private Candidate[] ZeroBy(Value value)
    {
        Candidate[] Of(int input) => this.Zero(value.Inputs[input]);
        return value.Op switch
        {
            SelectOp select when value.Inputs[0].Op is MixtureOp { Log: false } mixture => [new Candidate(mixture, select.Index)],
            MulOp or MatMulOp or MatMulSumOp or MixOp or MixGradientOp or MulSumToOp or HeadProductOp or LinearOp { Bias: false } => Union(Of(0), Of(1)),
            MulAddOp or LinearOp => Intersection(Union(Of(0), Of(1)), Of(2)),
            AddOp when value.Inputs.Count == 2 => Intersection(Of(0), Of(1)),
            ScaleOp or SumToOp or ReshapeOp or PermuteOp or SliceOp or SelectOp or ExpandOp or BroadcastToOp or BlockDiagonalOp or DiagonalBlocksOp or RollOp or PadOp or MeanOp or EmbedOp => Of(0),
            UnaryGradientOp or SoftmaxGradientOp or LayerNormGradientOp or LayerNormScaleGradientOp => Of(1),
            _ => None,
        };
    }

    /// <summary>From the results back: an operation that is zero reads nothing, one that nobody reads neither.</summary>
    private void Read(IReadOnlyList<Value> values, HashSet<Value> results)
    {
        // Null until somebody was seen to read it.
        var sets = new Candidate[]?[this.zero.Length];
        for (var i = values.Count - 1; i >= 0; i--)
        {
            var value = values[i];
            var own = results.Contains(value) || KeepsStatistics(value.Op) || sets[value.Id] is not { Length: > 0 } found ? None : this.Own(value, found);
            if (own.Length > 0)
                this.unread[value.Id] = own;
            // What has no call of its own shows its readers the memory of its input.
            var skipped = value.Op is AddOp or ReshapeOp or SliceOp or SelectOp or PartOp ? own : this.Zero(value).Length == 0 ? own : Union(own, this.Zero(value));
            foreach (var input in value.InputArray)
                sets[input.Id] = sets[input.Id] is { } others ? Intersection(others, skipped) : skipped;
        }
    }

    /// <summary>Its gradient reads what it leaves besides its result, unseen by the graph.</summary>
    private static bool KeepsStatistics(Op op) => op is LayerNormOp or AttentionOp or RowAttentionOp or PatchEmbedOp;

    private static Candidate[] Union(Candidate[] a, Candidate[] b) => a.Length == 0 ? b : b.Length == 0 || Intersection(b, a) == b ? a : [.. a.Union(b)];

    private static Candidate[] Intersection(Candidate[] a, Candidate[] b) => a == b ? a : a.Length == 0 || b.Length == 0 ? None : Only(a, b, static (one, others) => Array.IndexOf(others, one) >= 0);

    /// <summary>Those that a test holds for; the set itself where it holds for all, as it mostly does.</summary>
    private static Candidate[] Only<T>(Candidate[] set, T with, Func<Candidate, T, bool> test)
    {
        var kept = 0;
        foreach (var one in set)
            kept += test(one, with) ? 1 : 0;
        if (kept == set.Length)
            return set;
        var found = new Candidate[kept];
        for (int i = 0, at = 0; at < kept; i++)
        {
            if (test(set[i], with))
                found[at++] = set[i];
        }
        return found;
    }
}
