using System.Collections.Concurrent;
using System.Reflection;
using FusionGen.Compiler.Backbones;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>The plan: what is known before anything runs, as constants and settings.</summary>
internal static class PlanCode
{
    // Reflection forgets how to read a property with the last reference to it.
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> Written = new();

    /// <summary>Writes the plan class.</summary>
    public static void Write(CodeWriter code, string hash, CompiledNetworks networks)
    {
        var (spec, main) = (networks.Spec, networks.Main);
        code.Doc($"What is known of {spec.Model} before anything runs.");
        code.Line(SourceHeader.GeneratedCode);
        using (code.Block($"public static class {spec.Model}Plan"))
        {
            Constant(code, "string", "SpecHash", Names.Literal(hash), "SHA-256 of the spec's meaning.");
            Constant(code, "int", "Depth", Text.Invariant(spec.Backbone.Depth), "Blocks.");
            Constant(code, "int", "ImageSize", Text.Invariant(spec.Backbone.Image), "Side of the square input in pixels.");
            Constant(code, "int", "Tokens", Text.Invariant(BackboneCatalogue.Get(spec.Backbone.Family).Tokens(spec.Backbone)), "Rows a block sees, class token included.");
            Constant(code, "int", "Width", Text.Invariant(spec.Backbone.Width), "Channels of a token.");
            Constant(code, "int", "Classes", Text.Invariant(spec.Classes), "Classes of the head.");
            Constant(code, "long", "BackboneParameters", Text.Invariant(networks.BackboneParameters), "Parameters of the frozen backbone.");
            Constant(code, "long", "HeadParameters", Text.Invariant(main.Counts.Head), "Parameters of the head.");
            Constant(code, "long", "SupernetTunedParameters", Text.Invariant(main.Counts.Tuned), "Tuned parameters while searching, without the head.");
            Constant(code, "long", "SupernetMacs", Text.Invariant(main.Macs), "Multiply-adds of one image through the supernet.");
            if (networks.Model is { } model)
            {
                Constant(code, "long", "TunedParameters", Text.Invariant(model.Counts.Tuned), "Tuned parameters of the found model, without the head.");
                Constant(code, "long", "Macs", Text.Invariant(model.Macs), "Multiply-adds of one image through the found model.");
                Constant(code, "double", "TunedShare", Names.Literal(model.Counts.TunedShare), "Tuned share of the found model, head included, of backbone plus tuned.");
            }
            Peak(code, "PeakBytes", networks, main, isTraining: true, $"a step of the {(networks.Supernet is null ? "training" : "search")}");
            if (networks.Model is { } found)
                Peak(code, "TrainingPeakBytes", networks, found, isTraining: true, "a step of training the found model");
            Peak(code, "InferencePeakBytes", networks, networks.Model ?? main, isTraining: false, $"a prediction of the {(networks.Model is null ? networks.Supernet is null ? "backbone" : "supernet" : "found model")}");
            Settings(code, "Search", spec.Search, "How the spec says to search.");
            code.Line();
            Settings(code, "Train", spec.Train, "How the spec says to train.");
            foreach (var (name, network) in networks.All)
            {
                code.Line();
                Plan(code, name, network, networks);
                code.Line();
                code.Doc("Every parameter, in the order of the table.");
                code.Line($"public static IReadOnlyList<TensorSpec> {name}Tensors {{ get; }} =");
                code.Lines(network.Tensors);
            }
        }
    }

    private static void Constant(CodeWriter code, string type, string name, string value, string doc)
    {
        code.Doc(doc);
        code.Line($"public const {type} {name} = {value};");
        code.Line();
    }

    /// <summary>Memory of a static program as a function of the batch.</summary>
    private static void Peak(CodeWriter code, string name, CompiledNetworks networks, CompiledNetwork network, bool isTraining, string what)
    {
        var program = isTraining ? network.Training : network.Inference;
        var parameters = isTraining ? networks.ParameterBytes : sizeof(float) * network.Counts.All;
        code.Doc($"Bytes of {what} at a batch: parameters{(isTraining ? ", their gradients and moments" : "")} and the static program's memory, at most, which is with a worker for every slice of the batch.");
        code.Line(
            $"public static long {name}(int batch) => {Text.Invariant(parameters)} + " +
            $"StaticProgram.PeakBytes({Text.Invariant(program.Shared)}, {Text.Invariant(program.Partial)}, {Text.Invariant(program.Sample)}, {Text.Invariant(program.Scratch)}, batch, {Text.Invariant(isTraining ? StepMemory.Passes(networks.Spec, network.IsSupernet) : 1)});");
        code.Line();
    }

    /// <summary>Every property of settings, as an initializer, but lists, which the tool alone goes through.</summary>
    private static void Settings(CodeWriter code, string name, object settings, string doc)
    {
        code.Doc(doc);
        code.Line($"public static {settings.GetType().Name} {name} {{ get; }} = new()");
        code.Line("{");
        foreach (var assignment in Assignments(settings))
            code.Line($"    {assignment},");
        code.Line("};");
    }

    private static IEnumerable<string> Assignments(object settings) => Written.GetOrAdd(settings.GetType(), WrittenOf).Select(property => $"{property.Name} = {Literal(property.GetValue(settings)!)}");

    private static PropertyInfo[] WrittenOf(Type settings) => [.. settings.GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Where(property => property.CanWrite && property.PropertyType != typeof(GridSpec) && property.PropertyType != typeof(EquatableArray<double>)).OrderBy(property => property.MetadataToken)];

    private static string Literal(object value) => value switch
    {
        int number => Text.Invariant(number),
        double number => Names.Literal(number),
        string text => Names.Literal(text),
        bool flag => flag ? "true" : "false",
        Enum choice => $"{choice.GetType().Name}.{choice}",
        _ => $"new() {{ {string.Join(", ", Assignments(value))} }}",
    };

    private static void Plan(CodeWriter code, string name, CompiledNetwork network, CompiledNetworks networks)
    {
        var spec = networks.Spec;
        code.Doc($"The plan of {spec.Model}{name}.");
        code.Line($"public static NetworkPlan {name} {{ get; }} = new()");
        code.Line("{");
        code.Line($"    Model = {Names.Literal(spec.Model)},");
        code.Line("    SpecHash = SpecHash,");
        code.Line($"    Family = {Names.Literal(spec.Backbone.Family)},");
        code.Line("    ImageSize = ImageSize,");
        code.Line("    Tokens = Tokens,");
        code.Line("    Width = Width,");
        code.Line("    Depth = Depth,");
        code.Line("    Classes = Classes,");
        code.Line("    BackboneParameters = BackboneParameters,");
        code.Line($"    FrozenParameters = {Text.Invariant(network.Counts.Frozen)},");
        code.Line($"    TunedParameters = {Text.Invariant(network.Counts.Tuned)},");
        code.Line("    HeadParameters = HeadParameters,");
        if (network.Losses.Count > 1)
            code.Line($"    Losses = [{string.Join(", ", network.Losses.Select(Names.Literal))}],");
        code.Line($"    Macs = {Text.Invariant(network.Macs)},");
        code.Line($"    ActivationBytesPerImage = {Text.Invariant(network.ActivationBytes)},");
        if (Budget.KeepBytes(networks, network) is var keep and not 0)
            code.Line($"    KeepBytes = {(keep is { } bytes ? Text.Invariant(bytes) : "null")},");
        code.Line("    Search = Search,");
        code.Line("    Train = Train,");
        code.Line($"    Data = {Names.Literal(spec.Data)},");
        code.Line($"    Weights = {Names.Literal(spec.Backbone.Weights)},");
        code.Line("};");
    }
}
