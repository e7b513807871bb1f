using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>Where a reference tensor, or an entry of one, is in our network; values go there, gradients come from there.</summary>
/// <param name="Parameter">Our name.</param>
/// <param name="Reference">The reference's name.</param>
internal sealed record Placement(string Parameter, string Reference)
{
    /// <summary>Entry along the reference's first axis; null for all of it.</summary>
    public int? Entry { get; init; }

    /// <summary>First row of our parameter; the reference's rows follow. Null for all of it.</summary>
    public long? Row { get; init; }

    /// <summary>Position in the reference's last axis of each of ours; null where both have one order.</summary>
    public IReadOnlyList<long>? Order { get; init; }

    /// <summary>The reference's side: a view or copy in our order.</summary>
    public Tensor OfReference(Tensor reference)
    {
        var part = this.Entry is { } entry ? reference.select(0, entry) : reference;
        if (this.Order is not { } order)
            return part;
        using var indices = tensor(order.ToArray());
        return part.index_select(-1, indices);
    }

    /// <summary>Our side, a view.</summary>
    public Tensor OfParameter(Tensor parameter, long rows) => this.Row is { } row ? parameter.narrow(0, row, rows) : parameter;
}

/// <summary>A total mapping between a reference's state and our network's parameters.</summary>
internal sealed class ParameterMap
{
    private ParameterMap(IReadOnlyList<Placement> placements, IReadOnlyList<(string Name, string Reason)> ignored)
    {
        this.Placements = placements;
        this.Ignored = ignored;
    }

    /// <summary>Every correspondence.</summary>
    public IReadOnlyList<Placement> Placements { get; }

    /// <summary>Tensors of the reference that have none by rule, and the rule.</summary>
    public IReadOnlyList<(string Name, string Reason)> Ignored { get; }

    /// <summary>Checks that nothing is left over on either side and every shape fits.</summary>
    /// <exception cref="FusionException">Something is left over, filled twice or of another shape; all are listed.</exception>
    public static ParameterMap Of(IReferenceState reference, ReferenceLayout layout, FusionNetwork network)
    {
        var errors = new List<string>();
        var placements = new List<Placement>();
        var ignored = new List<(string, string)>();
        foreach (var name in reference.State)
        {
            var found = layout.Place(name).ToList();
            placements.AddRange(found);
            if (found.Count > 0)
                continue;
            if (layout.Ignores(name) is { } reason)
                ignored.Add((name, reason));
            else
                errors.Add($"'{name}' of the reference has no place in {network.Plan.Model}");
        }
        var filled = network.Specs.ToDictionary(spec => spec.Name, _ => 0L, StringComparer.Ordinal);
        foreach (var placement in placements)
        {
            if (!network.Has(placement.Parameter))
                errors.Add($"'{placement.Reference}' of the reference belongs to '{placement.Parameter}', which {network.Plan.Model} does not have");
            else if (Check(reference, placement, network.Specs[network.IndexOf(placement.Parameter)]) is { } error)
                errors.Add(error);
            else
                filled[placement.Parameter] += PartOf(reference, placement).Aggregate(1L, (product, size) => product * size);
        }
        errors.AddRange(network.Specs.Where(spec => filled[spec.Name] == 0).Select(spec => $"'{spec.Name}' of {network.Plan.Model} is not in the reference"));
        errors.AddRange(network.Specs.Where(spec => filled[spec.Name] != 0 && filled[spec.Name] != spec.Count)
            .Select(spec => $"'{spec.Name}' of {network.Plan.Model} has {spec.Count} elements, the reference fills {filled[spec.Name]}"));
        return errors.Count == 0
            ? new ParameterMap(placements, ignored)
            : throw new FusionException($"{reference.Path}: does not map onto {network.Plan.Model}:\n  {string.Join("\n  ", errors.Distinct())}", ExitCode.Data);
    }

    /// <summary>What our network has in the places of one of the reference's tensors, each beside its part of the reference's.</summary>
    /// <param name="name">The tensor's name in the reference's state.</param>
    /// <param name="whole">Something of its shape: it, its gradient.</param>
    /// <param name="ours">The same of one of our parameters.</param>
    public IEnumerable<(Tensor Ours, Tensor Reference)> Pairs(string name, Tensor whole, Func<string, Tensor> ours) => this.Placements
        .Where(placement => placement.Reference == name)
        .Select(placement => (Placement: placement, Reference: placement.OfReference(whole)))
        .Select(pair => (pair.Placement.OfParameter(ours(pair.Placement.Parameter), pair.Reference.shape[0]), pair.Reference));

    /// <summary>Gives every parameter the reference's values.</summary>
    public void Load(IReferenceState reference, FusionNetwork network)
    {
        using var guard = no_grad();
        foreach (var placement in this.Placements)
        {
            using var scope = NewDisposeScope();
            var part = placement.OfReference(reference.ReadState(placement.Reference));
            placement.OfParameter(network[placement.Parameter], part.shape[0]).copy_(part);
        }
    }

    private static string? Check(IReferenceState reference, Placement placement, TensorSpec spec)
    {
        var part = PartOf(reference, placement);
        var wanted = spec.Shape.ToArray();
        if (placement.Row is { } row)
        {
            if (part.Count == 0 || row + part[0] > wanted[0])
                return $"'{placement.Reference}' of the reference does not fit into '{spec.Name}' ({string.Join(", ", wanted)}) from row {row} on";
            wanted[0] = part[0];
        }
        return part.SequenceEqual(wanted)
            ? null
            : $"'{placement.Reference}' of the reference is ({string.Join(", ", part)}) where '{spec.Name}' wants ({string.Join(", ", wanted)})";
    }

    private static IReadOnlyList<long> PartOf(IReferenceState reference, Placement placement)
    {
        var shape = reference.ShapeOf(placement.Reference);
        var part = placement.Entry is null ? shape : [.. shape.Skip(1)];
        return placement.Order is { } order ? [.. part.SkipLast(1), order.Count] : part;
    }
}
