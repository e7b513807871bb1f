using System.Globalization;
using FusionGen.Cli.Compilation;
using FusionGen.Compiler.Emit;
using FusionGen.Compiler.Passes;
using FusionGen.Compiler.Spec;
using FusionGen.Weights;
using static TorchSharp.torch;

namespace FusionGen.Cli.Export;

/// <summary>A trained network written as plain backbone weights in timm's names, its operators merged into them.</summary>
internal static class MergedNetwork
{
    private const int NamesShown = 4;

    /// <summary>Merges and writes. Sums and products are taken in float64 and rounded once.</summary>
    /// <param name="path">The safetensors file.</param>
    /// <param name="spec">The spec.</param>
    /// <param name="policy">The operator of each layer; null where the spec has none.</param>
    /// <param name="model">The network with its weights.</param>
    /// <param name="origin">What the file says of where it comes from.</param>
    /// <returns>Tensors written.</returns>
    /// <exception cref="FusionException">Some operator cannot be merged exactly: all that remain are named.</exception>
    public static int Write(string path, SpecFile spec, PolicyDocument? policy, FusionModel model, IReadOnlyDictionary<string, string> origin)
    {
        var networks = Networks.Build(spec.Document, policy);
        var merging = Merging.Of(networks.Model ?? networks.Backbone, networks.Backbone);
        if (merging.Remains.Count > 0)
        {
            var names = merging.Remains.Take(NamesShown).Select(part => part.Parameter.Length > 0 ? $"{part.Scope} ({part.Parameter})" : part.Scope);
            var rest = merging.Remains.Count > NamesShown ? string.Create(CultureInfo.InvariantCulture, $" and {merging.Remains.Count - NamesShown} more") : "";
            throw new FusionException(
                $"{spec.Path}: is no plain backbone once merged: {string.Join(", ", names)}{rest} compute more than the backbone does. add, affine, add-direct, affine-direct, ssf and lora merge exactly; of others the adapter is what can be passed on",
                ExitCode.Spec);
        }
        var values = new ParameterValues(parameter => System.Array.ConvertAll(((Tensor)model[parameter.Name]).detach().to(ScalarType.Float32, CPU).data<float>().ToArray(), number => (double)number));
        var tensors = networks.Backbone.Parameters.Select(parameter => KeyValuePair.Create(
            parameter.Name,
            tensor(System.Array.ConvertAll(values.Of(merging.Weights[parameter]), number => (float)number), [.. parameter.Shape.Dims.Select(dim => (long)dim.Size)]))).ToList();
        try
        {
            SafeTensors.Write(path, tensors, origin);
        }
        finally
        {
            foreach (var (_, one) in tensors)
                one.Dispose();
        }
        return tensors.Count;
    }
}
