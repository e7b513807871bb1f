// An app that only predicts.
//   deploy make FOLDER       writes random weights, an adapter and an image
//   deploy predict FOLDER    loads them, classifies the image and says what that took
using System.Diagnostics;
using System.Globalization;
using FusionGen;
using FusionGen.Checkpoints;
using FusionGen.Deploy;
using FusionGen.Weights;
using static TorchSharp.torch;

if (args is not [("make" or "predict") and var action, var folder])
{
    Console.Error.WriteLine("usage: deploy make|predict FOLDER");
    return (int)ExitCode.Spec;
}
var (weights, adapter, image) = (Path.Combine(folder, "backbone.safetensors"), Path.Combine(folder, "adapter"), Path.Combine(folder, "image.safetensors"));
using var guard = no_grad();
using var model = new DeployedModel();
if (action == "make")
{
    model.Initialize(0);
    SafeTensors.Write(weights, model.Specs.Where(spec => !spec.IsTuned).Select(spec => KeyValuePair.Create(spec.Name, (Tensor)model[spec.Name])));
    Adapter.Save(adapter, model, BackboneWeights.Load(model, weights).Digest, []);
    var random = SplitMix.For(0, "image");
    using var pixels = tensor(Enumerable.Range(0, 3 * 224 * 224).Select(_ => (float)random.NextGaussian()).ToArray(), [1, 3, 224, 224]);
    SafeTensors.Write(image, [KeyValuePair.Create("image", pixels)]);
    return (int)ExitCode.Ok;
}
Adapter.Load(adapter, model, BackboneWeights.Load(model, weights).Digest);
using var file = SafeTensors.Open(image);
using var input = file.Read("image");
float[] Predict()
{
    using var logits = model.forward(input);
    return logits.data<float>().ToArray();
}
var first = Predict();
using var process = Process.GetCurrentProcess();
var seconds = (DateTime.Now - process.StartTime).TotalSeconds;
var watch = Stopwatch.StartNew();
for (var i = 0; i < 5; i++)
    Predict();
var peak = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"first {seconds:0.00} s, then {watch.Elapsed.TotalMilliseconds / 5:0} ms each, peak {long.Parse(peak, CultureInfo.InvariantCulture) / 1024} MiB, logits {first[0]:0.00000} {first[99]:0.00000}"));
return (int)ExitCode.Ok;
