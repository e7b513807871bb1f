using System.CommandLine;
using FusionGen.Checkpoints;
using FusionGen.Compiler;
using FusionGen.Compiler.Spec;

namespace FusionGen.Cli.Runs;

/// <summary>A model compiled for the policy of an adapter, with backbone and adapter loaded.</summary>
internal sealed class TrainedModel : IDisposable
{
    private TrainedModel(FusionModel model, AdapterConfig config, PolicyDocument policy)
    {
        this.Model = model;
        this.Config = config;
        this.Policy = policy;
    }

    /// <summary>The model.</summary>
    public FusionModel Model { get; }

    /// <summary>What the adapter says of itself.</summary>
    public AdapterConfig Config { get; }

    /// <summary>The operator of each layer.</summary>
    public PolicyDocument Policy { get; }

    /// <summary>The option that names an adapter.</summary>
    public static Option<string?> Option() => new("--adapter") { Description = "Folder with adapter_model.safetensors; runs/SPEC-0/adapter if not given.", HelpName = "folder" };

    /// <summary>Loads an adapter.</summary>
    /// <exception cref="FusionException">It is missing, damaged, or of another spec, policy or backbone.</exception>
    public static TrainedModel Load(Experiment experiment, string? folder)
    {
        folder ??= Path.Combine(experiment.DefaultFolder(0), "adapter");
        var config = Adapter.ReadConfig(folder);
        var spec = experiment.Spec.Document;
        var policy = new PolicyDocument(config.Model, SpecHash.Of(spec), config.Policy.ToEquatableArray());
        if (PolicyBinder.Check(spec, policy) is { Count: > 0 } problems)
            throw new FusionException($"{folder}: does not fit {experiment.Spec.Path}: {string.Join("; ", problems.Select(problem => problem.Message))}", ExitCode.Data);
        var model = experiment.Spec.Compile(policy, experiment.Terminal).CreateModel(experiment.Device);
        try
        {
            foreach (var note in Adapter.Load(folder, model, experiment.Prepare(model, 0)).Notes)
                experiment.Tell($"{folder}: {note}");
            return new TrainedModel(model, config, policy);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => this.Model.Dispose();
}
