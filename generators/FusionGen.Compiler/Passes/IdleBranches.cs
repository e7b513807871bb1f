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
    private readonly Sections sections;

    private IdleBranches(Sections sections, int count) => (this.sections, this.zero, this.unread) = (sections, new Candidate[]?[count], new Candidate[]?[count]);

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
        foreach (var value in values)
        {
            if (value.Op is SelectOp || idle.zero[value.Id] is not null || Array.Exists(value.InputArray, input => idle.Zero(input).Length > 0))
                idle.zero[value.Id] = idle.Own(value, Union([idle.Zero(value), .. idle.ZeroBy(value)]));
        }
        idle.Read(values, [.. results]);
        return idle;
    }

    /// <summary>Candidates without any of which the value is zero.</summary>
    public IReadOnlyList<Candidate> ZeroWithout(Value value) => this.Zero(value);

    /// <summary>Candidates without any of which nobody reads the value.</summary>
    public IReadOnlyList<Candidate> UnreadWithout(Value value) => this.unread[value.Id] ?? None;

    /// <summary>∂L/∂π is put together from its entries.</summary>
    private void Embedded(Value gradient, MixtureOp mixture)
    {
        if (gradient.Op is EmbedOp embed)
            this.zero[gradient.Id] = [new Candidate(mixture, embed.Start)];
        if (gradient.Op is not AddOp)
            return;
        foreach (var input in gradient.Inputs)
            this.Embedded(input, mixture);
    }

    /// <summary>Of candidates, those of the value's own section.</summary>
    private Candidate[] Own(Value value, Candidate[] candidates) =>
        candidates.Length == 0 || this.sections.Find(value.Scope) is not { } section ? None : Array.FindAll(candidates, candidate => candidate.Mixture.Layer == section.Mixture);

    private Candidate[] Zero(Value value) => this.zero[value.Id] ?? None;

    /// <summary>By the operation and its inputs.</summary>
    private Candidate[][] ZeroBy(Value value)
    {
        Candidate[] Of(int input) => this.Zero(value.Inputs[input]);
        return value.Op switch
        {
            SelectOp select when value.Inputs[0].Op is MixtureOp { Log: false } mixture => [[new Candidate(mixture, select.Index)]],
            MulOp or MatMulOp or MatMulSumOp or MixOp or MixGradientOp or MulSumToOp or HeadProductOp or LinearOp { Bias: false } => [Of(0), Of(1)],
            MulAddOp or LinearOp => [Intersection(Union([Of(0), Of(1)]), Of(2))],
            AddOp when value.Inputs.Count == 2 => [Intersection(Of(0), Of(1))],
            ScaleOp or SumToOp or ReshapeOp or PermuteOp or SliceOp or SelectOp or ExpandOp or BroadcastToOp or BlockDiagonalOp or DiagonalBlocksOp or RollOp or PadOp or MeanOp or EmbedOp => [Of(0)],
            UnaryGradientOp or SoftmaxGradientOp or LayerNormGradientOp or LayerNormScaleGradientOp => [Of(1)],
            _ => [],
        };
    }

    /// <summary>From the results back: an operation that is zero reads nothing, one that nobody reads neither.</summary>
    private void Read(IReadOnlyList<Value> values, HashSet<Value> results)
    {
        // Null until somebody was seen to read it.
        var sets = new Candidate[]?[this.zero.Length];
        foreach (var value in values.Reverse())
        {
            var own = results.Contains(value) || KeepsStatistics(value.Op) || sets[value.Id] is not { Length: > 0 } found ? None : this.Own(value, found);
            if (own.Length > 0)
                this.unread[value.Id] = own;
            // What has no call of its own shows its readers the memory of its input.
            var skipped = value.Op is AddOp or ReshapeOp or SliceOp or SelectOp or PartOp ? own : this.Zero(value).Length == 0 ? own : Union([own, this.Zero(value)]);
            foreach (var input in value.InputArray)
                sets[input.Id] = sets[input.Id] is { } others ? Intersection(others, skipped) : skipped;
        }
    }

    /// <summary>Its gradient reads what it leaves besides its result, unseen by the graph.</summary>
    private static bool KeepsStatistics(Op op) => op is LayerNormOp or AttentionOp or RowAttentionOp or PatchEmbedOp;

    private static Candidate[] Union(Candidate[][] sets)
    {
        var filled = Array.FindAll(sets, set => set.Length > 0);
        return filled.Length switch { 0 => None, 1 => filled[0], _ => [.. filled.SelectMany(set => set).Distinct()] };
    }

    private static Candidate[] Intersection(Candidate[] a, Candidate[] b) => a.Length == 0 || b.Length == 0 ? None : Array.FindAll(a, one => Array.IndexOf(b, one) >= 0);
}
