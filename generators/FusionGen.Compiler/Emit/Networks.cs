using FusionGen.Compiler.Backbones;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>The networks of a spec: the bare backbone with its head, the supernet where there is a choice, the model where a policy was found.</summary>
public sealed class Networks
{
    private readonly SpecDocument spec;
    private readonly PolicyDocument? policy;
    private readonly Dictionary<(Network, bool), (Differentiation? Step, StaticPlan Plan)> programs = [];
    private Network? backbone, supernet, model;

    /// <summary>Those of a spec, and of a policy where one was found; each is built when it is asked for.</summary>
    internal Networks(SpecDocument spec, PolicyDocument? policy) => (this.spec, this.policy) = (spec, policy);

    /// <summary>The frozen network and its head: the linear probe, or full fine-tuning where the spec tunes everything.</summary>
    public Network Backbone => this.backbone ??= Bare(this.spec.WithoutOperators());

    /// <summary>Every candidate; null where there is no operator.</summary>
    public Network? Supernet => this.supernet ??= this.spec.HasOperators ? Network.Build(this.spec, this.spec.Layers) : null;

    /// <summary>The chosen operators; null without a policy.</summary>
    public Network? Model => this.model ??= this.policy is { } found ? Network.Build(this.spec, Chosen(found)) : null;

    /// <summary>Rows a block sees.</summary>
    public int Tokens => BackboneCatalogue.Get(this.spec.Backbone.Family).Tokens(this.spec.Backbone);

    /// <summary>Parameters of the backbone without the head.</summary>
    public long BackboneParameters => this.Backbone.Counts.WithoutHead;

    /// <inheritdoc cref="StepMemory.ParameterBytes"/>
    public long ParameterBytes => StepMemory.ParameterBytes(this.spec, this.Backbone.Counts, this.Supernet?.Counts, this.Model?.Counts);

    /// <summary>The networks that exist, by the suffix of their types.</summary>
    public IEnumerable<(string Name, Network Network)> All => Existing(this.Backbone, this.Supernet, this.Model);

    /// <inheritdoc cref="StepMemory.Batch"/>
    public int Batch => StepMemory.Batch(this.spec);

    /// <inheritdoc cref="StepMemory.Passes"/>
    public int PassesOf(Network network) => StepMemory.Passes(this.spec, network == this.supernet);

    /// <summary>A training step of a network as its static program runs it: within the budget of memory, if computing cheap values again makes it fit.</summary>
    public Differentiation Step(Network network) => this.Program(network, isTraining: true).Step!;

    /// <summary>The static program of a network: of its training step, or of its forward pass.</summary>
    public StaticPlan Plan(Network network, bool isTraining) => this.Program(network, isTraining).Plan;

    /// <summary>Those that exist, by the suffix of their types.</summary>
    internal static IEnumerable<(string Name, T Network)> Existing<T>(T backbone, T? supernet, T? model)
        where T : class
    {
        yield return (nameof(Backbone), backbone);
        if (supernet is not null)
            yield return (nameof(Supernet), supernet);
        if (model is not null)
            yield return (nameof(Model), model);
    }

    private static Network Bare(SpecDocument bare) => Network.Build(bare, bare.Layers);

    private (Differentiation? Step, StaticPlan Plan) Program(Network network, bool isTraining)
    {
        if (!this.programs.TryGetValue((network, isTraining), out var program))
        {
            try
            {
                program = this.Program(network, isTraining, isShort: true);
            }
            catch (UnrollException)
            {
                program = this.Program(network, isTraining, isShort: false);
            }
            this.programs.Add((network, isTraining), program);
        }
        return program;
    }

    private (Differentiation? Step, StaticPlan Plan) Program(Network network, bool isTraining, bool isShort)
    {
        if (!isTraining)
            return (null, StaticPlan.Of(Pipeline.ForInference(network, isShort)));
        var room = this.spec.Budget.Memory > 0 ? Math.Max(1, this.spec.Budget.Memory - this.ParameterBytes) : 0;
        var step = Recomputations.Within(Pipeline.ForTraining(network, isShort), this.Batch, this.PassesOf(network), room);
        return (step, StaticPlan.Of(step));
    }

    /// <summary>Builds them all.</summary>
    /// <exception cref="ShapeException">The spec's sizes do not fit each other.</exception>
    public static Networks Build(SpecDocument spec, PolicyDocument? policy)
    {
        var networks = new Networks(spec, policy);
        _ = networks.All;
        return networks;
    }

    /// <summary>The layers of a policy.</summary>
    public static EquatableArray<LayerSpec> Chosen(PolicyDocument policy) =>
        policy.Choices.Select(name => new LayerSpec(name.Length == 0 ? EquatableArray<string>.Empty : EquatableArray.Of(name))).ToEquatableArray();
}
