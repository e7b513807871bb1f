using FusionGen.Compiler.Graph;

namespace FusionGen.Compiler.Passes;

/// <summary>
/// A network as its backbone with other weights, where that is exact (METHOD §6.3): gains, shifts and products of low rank go into the norms and linear layers beside them, and
/// if what is left is the backbone's own graph, any code for the plain backbone computes the network.
/// </summary>
public sealed class Merging
{
    private static readonly IReadOnlyList<Pass> Folds = [new NoDropout(), new FoldIntoNorm(evenIfRead: true), new MergeIntoWeights()];

    private Merging(IReadOnlyDictionary<ParameterOp, Value> weights, IReadOnlyList<(string Scope, string Parameter)> remains)
    {
        this.Weights = weights;
        this.Remains = remains;
    }

    /// <summary>For each parameter of the backbone, and of its head, what it becomes: a value that depends on parameters alone. Empty where something remains.</summary>
    public IReadOnlyDictionary<ParameterOp, Value> Weights { get; }

    /// <summary>What the backbone cannot take over: parts of the network, each with a parameter that an image meets there. Empty where merging is exact.</summary>
    public IReadOnlyList<(string Scope, string Parameter)> Remains { get; }

    /// <summary>Tries to merge.</summary>
    /// <param name="network">The network, its operators chosen.</param>
    /// <param name="backbone">The backbone of the same spec with its head.</param>
    public static Merging Of(Network network, Network backbone)
    {
        var folded = Rewriter.Run(network, Folds).Network;
        var weights = new Dictionary<ParameterOp, Value>();
        var known = new Dictionary<Value, Value>();
        var open = new Stack<(Value Own, Value Plain)>([(folded.Logits, backbone.Logits)]);
        var fits = true;
        while (fits && open.Count > 0)
        {
            var (own, plain) = open.Pop();
            if (known.TryGetValue(plain, out var paired))
                fits = paired == own;
            else if (plain.Op is ParameterOp parameter)
                fits = !own.Shape.IsPerSample && own.Shape.Equals(plain.Shape);
            else
                fits = own.Op.Equals(plain.Op) && own.Inputs.Count == plain.Inputs.Count;
            if (paired is not null || !fits)
                continue;
            known.Add(plain, own);
            if (plain.Op is ParameterOp one)
            {
                weights.Add(one, own);
                continue;
            }
            for (var i = 0; i < own.Inputs.Count; i++)
                open.Push((own.Inputs[i], plain.Inputs[i]));
        }
        return fits ? new Merging(weights, []) : new Merging(new Dictionary<ParameterOp, Value>(), Left(folded, backbone));
    }

    /// <summary>Parts that do other things than the backbone's.</summary>
    private static List<(string Scope, string Parameter)> Left(Network network, Network backbone)
    {
        static ILookup<string, Value> Parts(Network network) => network.Values.Where(value => value.Shape.IsPerSample).ToLookup(value => value.Scope, StringComparer.Ordinal);
        var plain = Parts(backbone);
        var result = new List<(string, string)>();
        foreach (var part in Parts(network))
        {
            var same = plain[part.Key].Select(value => value.Op).ToList();
            var more = part.Where(value => !same.Remove(value.Op)).ToList();
            if (more.Count > 0)
                result.Add((part.Key, more.SelectMany(value => value.Inputs).SelectMany(Parameters).OrderBy(name => !name.StartsWith("operators.", StringComparison.Ordinal)).FirstOrDefault() ?? ""));
        }
        return result;
    }

    private static IEnumerable<string> Parameters(Value value) => value switch
    {
        { Op: ParameterOp parameter } => [parameter.Name],
        { Shape.IsPerSample: true } => [],
        _ => value.Inputs.SelectMany(Parameters),
    };
}
