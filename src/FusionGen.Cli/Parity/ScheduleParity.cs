using System.Text.Json;
using FusionGen.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FusionGen.Cli.Parity;

/// <summary>
/// Follows a reference's schedules epoch by epoch, its optimizers step by step on a polynomial of a few variables, and the groups that VPT's <c>make_optimizer</c> puts parameters
/// into. A JSON file; everything in it that is not known here is an error.
/// </summary>
internal static class ScheduleParity
{
    private const double Tolerance = 1e-12;

    private static readonly HashSet<string> Descriptions = new(StringComparer.Ordinal) { "torch_version", "sources", "toy" };

    /// <summary>Whether a file is of that kind.</summary>
    public static bool Concerns(string path) => Path.GetExtension(path) == ".json";

    /// <summary>Compares everything that the file holds.</summary>
    /// <exception cref="FusionException">It cannot be read, or holds something that is not known here.</exception>
    public static ParityResult Run(string path)
    {
        try
        {
            using var file = JsonDocument.Parse(File.ReadAllText(path));
            return new ParityResult([.. file.RootElement.EnumerateObject().Where(part => !Descriptions.Contains(part.Name)).SelectMany(part => Compare(path, part, file.RootElement))], []);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new FusionException($"{path}: is no reference of schedules: {error.Message}", ExitCode.Data, error);
        }
    }

    private static IEnumerable<Difference> Compare(string path, JsonProperty part, JsonElement file) => part.Name switch
    {
        "optimizers" => part.Value.EnumerateObject().SelectMany(one => Trajectory(path, one, file.GetProperty("toy"))),
        "vpt_make_optimizer" => part.Value.EnumerateObject().SelectMany(Groups),
        "pfd_temperature" => [Difference(part.Name, Temperatures(part.Value), Numbers(part.Value, "tau_per_epoch"))],
        "pfd_learning_rate" => [Rates(part, Number(part.Value, "learning_rate"), Whole(part.Value, "total_epochs"), 0)],
        _ when part.Name.StartsWith("vpt_warmup_cosine", StringComparison.Ordinal) => [Rates(part, Number(part.Value, "base_lr"), Whole(part.Value, "epochs"), Whole(part.Value, "warmup"))],
        _ => throw new FusionException($"{path}: '{part.Name}' is not known here", ExitCode.Data),
    };

    private static Difference Rates(JsonProperty part, double peak, int epochs, int warmup) =>
        Difference(part.Name, Enumerable.Range(0, epochs).Select(epoch => Schedule.LearningRate(peak, epoch, epochs, warmup)), Numbers(part.Value, "lr_per_epoch"));

    private static IEnumerable<double> Temperatures(JsonElement part)
    {
        var settings = new SearchSettings { Epochs = Whole(part, "search_epochs"), TemperatureFrom = Number(part, "maximum"), TemperatureTo = Number(part, "minimum") };
        return Enumerable.Range(0, settings.Epochs).Select(epoch => Schedule.Temperature(settings, epoch));
    }

    private static IEnumerable<Difference> Trajectory(string path, JsonProperty one, JsonElement toy)
    {
        var kind = one.Name switch
        {
            "adamw_vpt_own" => OptimizerKind.VptAdamW,
            _ when one.Name.StartsWith("adamw", StringComparison.Ordinal) => OptimizerKind.AdamW,
            _ when one.Name.StartsWith("adam", StringComparison.Ordinal) => OptimizerKind.Adam,
            _ when one.Name.StartsWith("sgd", StringComparison.Ordinal) => OptimizerKind.Sgd,
            _ => throw new FusionException($"{path}: the optimizer '{one.Name}' is not known here", ExitCode.Data),
        };
        var settings = new OptimizerSettings { Kind = kind, LearningRate = Number(one.Value, "lr", 0), WeightDecay = Number(one.Value, "weight_decay"), Momentum = Number(one.Value, "momentum", 0) };
        if (one.Value.TryGetProperty("betas", out var betas))
            settings = settings with { Beta1 = betas[0].GetDouble(), Beta2 = betas[1].GetDouble() };
        using var scope = NewDisposeScope();
        using var weights = new Parameter(tensor(Numbers(toy, "w0")));
        using var optimizer = Optimizer.Create(settings, [new OptimizedParameter("w", weights)]);
        var (a, b) = (tensor(toy.GetProperty("A").EnumerateArray().SelectMany(Numbers).ToArray(), [3, 3]), tensor(Numbers(toy, "b")));
        List<double> ours = [], theirs = [];
        var step = 0;
        foreach (var expected in one.Value.GetProperty("steps").EnumerateArray())
        {
            if (one.Value.TryGetProperty("lr_per_step", out var rates))
                optimizer.LearningRate = rates[step].GetDouble();
            var loss = ((weights * a.matmul(weights)).sum() * 0.5) - (b * weights).sum() + (weights.pow(4).sum() * 0.1);
            var gradients = Gradients.Of(loss, [weights]);
            ours.AddRange(gradients[0]!.data<double>());
            theirs.AddRange(Numbers(expected, "grad"));
            var norm = Gradients.Clip(gradients, Number(one.Value, "clip_grad_norm", 0));
            if (expected.TryGetProperty("norm_before_clip", out var wanted))
            {
                ours.Add(norm.item<double>());
                theirs.Add(wanted.GetDouble());
            }
            optimizer.Step(gradients);
            ours.AddRange(weights.detach().data<double>());
            theirs.AddRange(Numbers(expected, "w_after"));
            step++;
        }
        return [Difference(one.Name, ours, theirs)];
    }

    /// <summary>What steps, and for every parameter its rate, its decay and the momentum.</summary>
    private static IEnumerable<Difference> Groups(JsonProperty one)
    {
        var name = one.Name.Split('_');
        double After(string key) => name.FirstOrDefault(part => part.StartsWith(key, StringComparison.Ordinal)) is { } part ? double.Parse(part[key.Length..], System.Globalization.CultureInfo.InvariantCulture) : double.NaN;
        var multiplier = After("biasmult");
        var settings = new OptimizerSettings
        {
            Kind = name[0] == "sgd" ? OptimizerKind.Sgd : OptimizerKind.VptAdamW,
            LearningRate = 1,
            WeightDecay = After("wd"),
            BiasMultiplier = double.IsNaN(multiplier) ? 1 : multiplier,
        };
        var published = Optimizer.AsPublished(settings);
        List<double> ours = [published.Kind == OptimizerKind.Sgd ? 1 : 0], theirs = [one.Value.GetProperty("class").GetString()!.EndsWith("SGD", StringComparison.Ordinal) ? 1 : 0];
        foreach (var group in one.Value.GetProperty("groups").EnumerateArray())
        {
            foreach (var parameter in group.GetProperty("params").EnumerateArray())
            {
                var own = parameter.GetString()!.Replace("head.last_layer", "head", StringComparison.Ordinal);
                ours.AddRange(published.LearningRate * Optimizer.Rate(settings, own), Optimizer.Decays(settings, own) ? published.WeightDecay : 0);
                theirs.AddRange(Number(group, "lr"), Number(group, "weight_decay"));
                if (group.GetProperty("momentum").ValueKind != JsonValueKind.Number)
                    continue;
                ours.Add(published.Momentum);
                theirs.Add(Number(group, "momentum"));
            }
        }
        return [Difference(one.Name, ours, theirs)];
    }

    private static Difference Difference(string name, IEnumerable<double> ours, IReadOnlyList<double> theirs)
    {
        double[] own = [.. ours];
        if (own.Length != theirs.Count)
            throw new FormatException($"'{name}' has {theirs.Count} numbers where {own.Length} belong");
        return Parity.Difference.Of(name, [(tensor(own), tensor(theirs.ToArray()))], _ => Tolerance);
    }

    private static double Number(JsonElement of, string key, double otherwise = double.NaN) =>
        of.TryGetProperty(key, out var number) ? number.GetDouble() : double.IsNaN(otherwise) ? throw new KeyNotFoundException($"'{key}' is missing") : otherwise;

    private static int Whole(JsonElement of, string key) => of.GetProperty(key).GetInt32();

    private static double[] Numbers(JsonElement of, string key) => Numbers(of.GetProperty(key));

    private static double[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(number => number.GetDouble())];
}
