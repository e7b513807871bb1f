using FusionGen.Compiler.Backbones;
using FusionGen.Compiler.Graph;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>The networks of a spec: the bare backbone with its head, the supernet where there is a choice, the model where a policy was found.</summary>
public sealed class Networks
{
    private readonly SpecDocument spec;
    private readonly Dictionary<(Network, bool), (Differentiation? Step, StaticPlan Plan)> programs = [];

    private Networks(SpecDocument spec, Network backbone, Network? supernet, Network? model)
    {
        this.spec = spec;
        this.Tokens = BackboneCatalogue.Get(spec.Backbone.Family).Tokens(spec.Backbone);
        this.Backbone = backbone;
        this.Supernet = supernet;
        this.Model = model;
        this.BackboneParameters = backbone.Parameters.Where(p => p.Role != ParameterRole.Head).Sum(p => p.Shape.Elements);
    }

    /// <summary>The frozen network and its head: the linear probe, or full fine-tuning where the spec tunes everything.</summary>
    public Network Backbone { get; }

    /// <summary>Every candidate; null where there is no operator.</summary>
    public Network? Supernet { get; }

    /// <summary>The chosen operators; null without a policy.</summary>
    public Network? Model { get; }

    /// <summary>Rows a block sees.</summary>
    public int Tokens { get; }

    /// <summary>Parameters of the backbone without the head.</summary>
    public long BackboneParameters { get; }

    /// <summary>
    /// Bytes of the parameters and all that goes with the tuned ones of the largest network, in float32: a gradient and two moments; of a supernet
    /// the gradient of another level, by differences shifted values, and by central ones those and a gradient on the other side.
    /// </summary>
    public long ParameterBytes => 4 * this.All.Max(pair => this.BackboneParameters + (this.CopiesOf(pair.Network) * pair.Network.Count(ParameterRole.Tuned, ParameterRole.Head)));

    /// <summary>The networks that exist, by the suffix of their types.</summary>
    public IEnumerable<(string Name, Network Network)> All
    {
        get
        {
            yield return ("Backbone", this.Backbone);
            if (this.Supernet is not null)
                yield return ("Supernet", this.Supernet);
            if (this.Model is not null)
                yield return ("Model", this.Model);
        }
    }

    /// <summary>Images of a search's step; of a training step where there is nothing to search.</summary>
    public int Batch => this.Supernet is null ? this.spec.Train.Batch : this.spec.Search.Batch;

    /// <summary>Passes of a training step that run at once: both sides of a central difference.</summary>
    public int PassesOf(Network network) => network == this.Supernet && this.spec.Search.Order == SearchOrder.SecondFd ? 2 : 1;

    /// <summary>Numbers for each tuned one.</summary>
    private int CopiesOf(Network network) => network != this.Supernet ? 4 : this.spec.Search.Order switch
    {
        SearchOrder.SecondFd => 8,
        SearchOrder.SecondForward => 6,
        _ => 5,
    };

    /// <summary>A training step of a network as its static program runs it: within the budget of memory, if computing cheap values again makes it fit.</summary>
    public Differentiation Step(Network network) => this.Program(network, isTraining: true).Step!;

    /// <summary>The static program of a network: of its training step, or of its forward pass.</summary>
    public StaticPlan Plan(Network network, bool isTraining) => this.Program(network, isTraining).Plan;

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

    /// <summary>Builds them.</summary>
    /// <exception cref="ShapeException">The spec's sizes do not fit each other.</exception>
    public static Networks Build(SpecDocument spec, PolicyDocument? policy)
    {
        var bare = spec.WithoutOperators();
        return new Networks(
            spec,
            Network.Build(bare, bare.Layers),
            spec.HasOperators ? Network.Build(spec, spec.Layers) : null,
            policy is null ? null : Network.Build(spec, Chosen(policy)));
    }

    /// <summary>The layers of a policy.</summary>
    public static EquatableArray<LayerSpec> Chosen(PolicyDocument policy) =>
        policy.Choices.Select(name => new LayerSpec(name.Length == 0 ? EquatableArray<string>.Empty : EquatableArray.Of(name))).ToEquatableArray();
}
