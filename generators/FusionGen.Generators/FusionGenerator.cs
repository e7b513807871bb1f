using FusionGen.Compiler;
using FusionGen.Compiler.Emit;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;

namespace FusionGen.Generators;

/// <summary>
/// Compiles the specs and policies of a project. Each file is read by itself; what crosses files are small tables (policies by name, models
/// that clash, problems). Places live only in the branch of diagnostics, so that editing a comment emits nothing. The driver takes all files through
/// one step before the next: all begin to be read, or compiled, in one and are waited for in the next, as many at once as there are processors.
/// </summary>
[Generator(LanguageNames.CSharp)]
public sealed class FusionGenerator : IIncrementalGenerator
{
    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        // Of one driver and those that come of it by edits.
        var networks = new NetworkCache();
        var files = context.AdditionalTextsProvider
            .Where(static text => text.Path.EndsWith(".yaml", StringComparison.OrdinalIgnoreCase))
            .Select(static (text, cancellation) => (Text: text, File: Steps.BeginParse(text, cancellation))).WithTrackingName(TrackingNames.Parse)
            .Combine(context.AnalyzerConfigOptionsProvider)
            .Where(static pair => IsOurs(pair.Right, pair.Left.Text))
            .Select(static (pair, cancellation) => Steps.Await(pair.Left.File, cancellation)).WithTrackingName(TrackingNames.Bind);

        var specs = files.Where(static file => file.Kind == FileKind.Spec).Select(Steps.Spec);
        var policies = Table(files.Where(static file => file.Kind == FileKind.Policy).Select(Steps.Policy), static policy => policy.Path);
        var clashes = specs.Collect().Select(static (all, cancellation) => Steps.Clashes(all, cancellation));
        var stems = Table(specs.Select(static (spec, _) => spec.Stem), static stem => stem);

        var compiled = specs.Combine(policies).Combine(clashes)
            .Select(static (input, _) => Steps.Join(input.Left.Left, input.Left.Right, input.Right)).WithTrackingName(TrackingNames.Join)
            .Select((unit, cancellation) => Steps.BeginLower(unit, networks, cancellation))
            .Select(Steps.Await).WithTrackingName(TrackingNames.Lower);

        context.RegisterSourceOutput(
            compiled.Select(static (unit, _) => unit.Source).WithTrackingName(TrackingNames.Plan),
            static (output, source) =>
            {
                if (source is not null)
                    output.AddSource(source.Name, new CodeText(source.Code));
            });

        var problems = Table(
            compiled.SelectMany(static (unit, _) => new[] { unit.SpecProblems, unit.PolicyProblems }).Where(static file => file.Problems.Count > 0),
            static file => file.Path);
        context.RegisterSourceOutput(
            files.Combine(problems).Combine(stems)
                .Select(static (input, _) => Steps.Diagnose(input.Left.Left, input.Left.Right, input.Right))
                .Where(static file => file.Problems.Count > 0).WithTrackingName(TrackingNames.Diagnostics),
            static (output, file) =>
            {
                foreach (var problem in file.Problems)
                    output.ReportDiagnostic(Descriptors.Create(file.Path, problem));
            });
    }

    private static bool IsOurs(AnalyzerConfigOptionsProvider options, AdditionalText text) =>
        options.GetOptions(text).TryGetValue("build_metadata.AdditionalFiles.FusionGenSpec", out var flag) && flag.Equals("true", StringComparison.OrdinalIgnoreCase);

    private static IncrementalValueProvider<EquatableArray<T>> Table<T>(IncrementalValuesProvider<T> values, Func<T, string> key)
        where T : IEquatable<T> => values.Collect().Select((all, _) => all.OrderBy(key, StringComparer.Ordinal).ToEquatableArray());
}
