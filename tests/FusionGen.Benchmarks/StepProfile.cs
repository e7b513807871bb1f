using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Spec;
using FusionGen.Kernels;
using FusionGen.Search;
using FusionGen.Training;
using Spectre.Console;
using static TorchSharp.torch;

namespace FusionGen.Benchmarks;

/// <summary>A product, as a step makes it.</summary>
/// <param name="M">Rows.</param>
/// <param name="N">Columns.</param>
/// <param name="K">What is summed over.</param>
/// <param name="TransposeA">Whether A is stored transposed.</param>
/// <param name="TransposeB">Whether B is stored transposed.</param>
public readonly record struct Product(int M, int N, int K, bool TransposeA, bool TransposeB)
{
    /// <summary>Multiplications and additions.</summary>
    public double Operations => 2.0 * this.M * this.N * this.K;
}

/// <summary>Counts and times what the calls of a static program do. The program is the generated one, with a clock around every call.</summary>
public static partial class StepClock
{
    private static readonly Dictionary<string, Line> Lines = [];
    private static readonly Dictionary<Product, long> Made = [];

    /// <summary>Every product of the steps, and how often it was made.</summary>
    internal static IReadOnlyDictionary<Product, long> Products => Made;

    /// <summary>Every kind of call.</summary>
    internal static IReadOnlyDictionary<string, Line> Calls => Lines;

    /// <summary>Whether to count what a thread waits for others too.</summary>
    internal static bool CountsWaiting { get; set; }

    /// <summary>Nanoseconds that this thread has computed for: others may use the machine meanwhile.</summary>
    public static long Now
    {
        get
        {
            if (CountsWaiting || !OperatingSystem.IsLinux())
                return (long)Stopwatch.GetElapsedTime(0).TotalNanoseconds;
            _ = ReadClock(3, out var time);
            return (time.Seconds * 1_000_000_000) + time.Nanoseconds;
        }
    }

    /// <summary>A call that moves memory.</summary>
    public static void Add(string name, long floats, long start) => Count(name, start, floats, 0);

    /// <summary>A call that is products.</summary>
    public static void AddProduct(string name, long floats, long start, int count, int m, int n, int k, bool transposeA, bool transposeB)
    {
        var product = new Product(m, n, k, transposeA, transposeB);
        Count($"{name} {m}×{n}×{k}{(count > 1 ? $" ({count} times)" : "")}", start, floats, count * product.Operations);
        Make(product, count);
    }

    /// <summary>An attention, or its gradient.</summary>
    public static void AddAttention(string name, long floats, long start, bool isGradient, int images, int tokens, int width, int heads, int rows, int prefix)
    {
        var (count, depth, keys) = (images * heads, width / heads, tokens + prefix);
        Count(name, start, floats, (isGradient ? 5 : 2) * count * new Product(rows, keys, depth, false, false).Operations);
        Make(new(rows, keys, depth, false, true), isGradient ? 2 * count : count);
        Make(new(rows, depth, keys, false, false), count);
        if (isGradient)
            Make(new(keys, depth, rows, true, false), 2 * count);
    }

    /// <summary>Starts over.</summary>
    internal static void Clear()
    {
        Lines.Clear();
        Made.Clear();
    }

    private static void Make(Product product, int count) => CollectionsMarshal.GetValueRefOrAddDefault(Made, product, out _) += count;

    private static void Count(string name, long start, long floats, double operations)
    {
        var seconds = (Now - start) / 1e9;
        ref var line = ref CollectionsMarshal.GetValueRefOrAddDefault(Lines, name, out _);
        line = new(line.Calls + 1, line.Seconds + seconds, line.Floats + floats, line.Operations + operations);
    }

    // 3: CPU time of the thread.
    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    private static partial int ReadClock(int clock, out Time time);

    private struct Time
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary>What calls of a kind did.</summary>
    /// <param name="Calls">How many there were.</param>
    /// <param name="Seconds">Their time.</param>
    /// <param name="Floats">Floats of their operands and results.</param>
    /// <param name="Operations">Multiplications and additions of their products.</param>
    internal readonly record struct Line(long Calls, double Seconds, long Floats, double Operations);
}

/// <summary>Where the time of a training step or of a prediction goes: every kind of call, its rate and what bounds it, and all of it against its products alone.</summary>
internal static partial class StepProfile
{
    private const int Rounds = 5;

    /// <summary>Prints the profile of a step of a spec's supernet on one thread; or, given threads, of a prediction by its layers' candidates in turn.</summary>
    public static void Run(string path, int batch, int threads = 0)
    {
        StepClock.CountsWaiting = threads > 1;
        set_num_threads(Math.Max(1, threads));
        var spec = SpecReader.Read(File.ReadAllText(path)).Document ?? throw new FusionException($"{path} has errors", ExitCode.Spec);
        var policy = threads == 0 ? null : new PolicyDocument(
            spec.Model, SpecHash.Of(spec), spec.Layers.Select((layer, i) => layer.Candidates.Count == 0 ? "" : layer.Candidates[i % layer.Candidates.Count]).ToEquatableArray());
        var files = FusionCompiler.Compile(spec, policy).Files.Select(file => (file.Name, file.Text)).ToArray();
        double Fastest(IEnumerable<(string Name, string Text)> code, out int count) => policy is null ? Step(spec, code, batch, out count) : Prediction(spec, code, batch, out count);
        var plain = Fastest(files, out _);
        var clocked = files.Select(file => (file.Name, Call().Replace(file.Text, Clocked))).ToArray();
        var total = Fastest(clocked, out var steps);
        var products = StepClock.Products.Sum(made => made.Value * Alone(made.Key)) / steps;
        var (peak, bandwidth) = (Peak(), Bandwidth());
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumn("call");
        foreach (var title in new[] { "calls", "ms", "share", "GFLOP/s", "GB/s", "of its bound", "bound" })
            table.AddColumn(new TableColumn(title).RightAligned());
        foreach (var (name, line) in StepClock.Calls.OrderByDescending(call => call.Value.Seconds))
        {
            var (computed, moved) = (line.Operations / peak, line.Floats * sizeof(float) / bandwidth);
            var bound = Math.Max(computed, moved);
            if (line.Seconds / steps / total < 0.002)
                continue;
            table.AddRow(
                Markup.Escape(name), $"{line.Calls / steps}", Number(line.Seconds * 1000 / steps, "0.00"), Number(line.Seconds / steps / total, "0.0 %"),
                line.Operations > 0 ? Number(line.Operations / line.Seconds / 1e9, "0") : "", Number(line.Floats * sizeof(float) / line.Seconds / 1e9, "0"),
                Number(bound / line.Seconds, "0 %"), computed > moved ? "multiply-adds" : "memory");
        }
        AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 140);
        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Report.DescribeMachine()}, {(threads > 1 ? $"{threads} threads" : "one thread")}; each, {Gemm.Product}: {peak / 1e9:0} GFLOP/s; memory: {bandwidth / 1e9:0} GB/s"));
        AnsiConsole.Write(table);
        var calls = StepClock.Calls.Values.Sum(line => line.Seconds) / steps;
        AnsiConsole.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{(policy is null ? "step" : "prediction")} of {batch} images: {plain * 1000:0.0} ms; its calls: {calls * 1000:0.0} ms (with clocks: {total * 1000:0.0} ms); its products alone: {products * 1000:0.0} ms; in all / products: {plain / products:0.00}"));
    }

    // A line of a static program.
    [GeneratedRegex(@"^( +)f\.Ops\.(\w+)\((.*)\);", RegexOptions.Multiline)]
    private static partial Regex Call();

    private static string Clocked(Match match)
    {
        var (name, arguments) = (match.Groups[2].Value, Arguments(match.Groups[3].Value));
        var floats = string.Concat(arguments.Where(IsSpan).Select(argument => $" + {argument}.Length"));
        string At(int fromEnd) => arguments[^fromEnd];
        var clock = name switch
        {
            "Linear" => $"AddProduct(\"Linear\", 0L{floats}, start, 1, {At(3)}, {At(1)}, {At(2)}, false, true)",
            // All rows of all images in one.
            "MatMul" when arguments[1] == "false" && arguments[2] == "false" && arguments[5] == "true" =>
                $"AddProduct(\"MatMul\", 0L{floats}, start, 1, {At(4)} * {At(3)}, {At(2)}, {At(1)}, false, {arguments[4]})",
            "MatMulSum" when arguments[1] == "true" && arguments[3] == "false" =>
                $"AddProduct(\"MatMulSum\", 0L{floats}, start, 1, {At(3)}, {At(2)}, {At(4)} * {At(1)}, true, false)",
            "MatMul" => $"AddProduct(\"MatMul\", 0L{floats}, start, {At(4)}, {At(3)}, {At(2)}, {At(1)}, {arguments[1]}, {arguments[4]})",
            "MatMulSum" => $"AddProduct(\"MatMulSum\", 0L{floats}, start, {At(4)}, {At(3)}, {At(2)}, {At(1)}, {arguments[1]}, {arguments[3]})",
            "Attention" or "AttentionGradient" =>
                $"AddAttention(\"{name}\", 0L{floats}, start, {(name == "Attention" ? "false" : "true")}, {string.Join(", ", arguments[^6..])})",
            // While a search is soft every row of the mix counts.
            "Mix" => $"AddProduct(\"Mix\", 0L{floats}, start, {At(3)}, {At(2)}, {At(1)}, {At(2)}, {arguments[1]}, false)",
            "MixGradient" => $"AddProduct(\"MixGradient\", 0L{floats}, start, {At(3)}, {At(2)}, {At(2)}, {At(1)}, false, true)",
            "Apply" or "ApplyGradient" => $"Add(\"{name} \" + {arguments[0]}, 0L{floats}, start)",
            _ => $"Add(\"{name}\", 0L{floats}, start)",
        };
        return $"{match.Groups[1].Value}{{ var start = FusionGen.Benchmarks.StepClock.Now; f.Ops.{name}({match.Groups[3].Value}); FusionGen.Benchmarks.StepClock.{clock}; }}";
    }

    private static bool IsSpan(string argument) => argument.StartsWith("f.", StringComparison.Ordinal) && argument is not ("f.B" or "f.Scratch") && !argument.StartsWith("f.IsDiscrete", StringComparison.Ordinal) && !argument.StartsWith("f.B ", StringComparison.Ordinal);

    private static List<string> Arguments(string text)
    {
        var (arguments, depth, start) = (new List<string>(), 0, 0);
        for (var i = 0; i < text.Length; i++)
        {
            depth += text[i] is '(' or '[' ? 1 : text[i] is ')' or ']' ? -1 : 0;
            if (text[i] != ',' || depth > 0)
                continue;
            arguments.Add(text[start..i].Trim());
            start = i + 1;
        }
        arguments.Add(text[start..].Trim());
        return arguments;
    }

    /// <summary>The fastest training step.</summary>
    private static double Step(SpecDocument spec, IEnumerable<(string Name, string Text)> files, int batch, out int steps)
    {
        using var network = Create<Supernet>(spec, files);
        using var search = new BilevelSteps(network, network.Plan.Search);
        var side = network.Plan.ImageSize;
        using var images = new Batch(Worker.Gaussian("images", 1, [batch, 3, side, side]), tensor(Enumerable.Range(0, batch).Select(i => (long)(i % network.Plan.Classes)).ToArray()));
        return Fastest(() => search.StepWeights(images), out steps);
    }

    /// <summary>The fastest prediction.</summary>
    private static double Prediction(SpecDocument spec, IEnumerable<(string Name, string Text)> files, int batch, out int steps)
    {
        using var network = Create<FusionModel>(spec, files);
        using var guard = no_grad();
        using var images = Worker.Gaussian("images", 1, [batch, 3, network.Plan.ImageSize, network.Plan.ImageSize]);
        return Fastest(() => network.forward(images).Dispose(), out steps);
    }

    private static T Create<T>(SpecDocument spec, IEnumerable<(string Name, string Text)> files)
        where T : FusionNetwork
    {
        var assembly = CompiledSpec.Load(spec.Model, files);
        var network = (T)Activator.CreateInstance(assembly.GetTypes().Single(type => type.IsSubclassOf(typeof(T)) && !type.Name.EndsWith("Backbone", StringComparison.Ordinal)), null, ScalarType.Float32)!;
        network.Initialize(seed: 0);
        return network;
    }

    /// <summary>Of as many as fit, once warm; the clock holds all of them.</summary>
    private static double Fastest(Action action, out int steps)
    {
        for (var i = 0; i < 30; i++)
            action();
        StepClock.Clear();
        var best = double.MaxValue;
        var watch = Stopwatch.StartNew();
        for (steps = 0; steps < 10 || watch.Elapsed.TotalSeconds < Rounds; steps++)
        {
            var start = StepClock.Now;
            action();
            best = Math.Min(best, (StepClock.Now - start) / 1e9);
        }
        return best;
    }

    private static double Alone(Product product)
    {
        var (m, n, k) = (product.M, product.N, product.K);
        var (a, b, c) = (new float[m * k], new float[k * n], new float[m * n]);
        return Best(() => Gemm.Multiply(m, n, k, new(a, product.TransposeA ? m : k, product.TransposeA), new(b, product.TransposeB ? k : n, product.TransposeB), c, n));
    }

    private static double Peak() => new Product(384, 512, 192, false, false).Operations / Alone(new(384, 512, 192, false, false));

    private static double Bandwidth()
    {
        var (from, to) = (new float[1 << 25], new float[1 << 25]);
        return 2.0 * sizeof(float) * from.Length / Best(() => from.CopyTo(to, 0));
    }

    private static double Best(Action action)
    {
        var (best, watch) = (double.MaxValue, Stopwatch.StartNew());
        for (var i = 0; i < 50 || (watch.Elapsed.TotalSeconds < 0.1 && i < 100000); i++)
        {
            var start = StepClock.Now;
            action();
            best = Math.Min(best, (StepClock.Now - start) / 1e9);
        }
        return best;
    }

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
