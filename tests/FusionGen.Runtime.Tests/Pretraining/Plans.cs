
namespace FusionGen.Runtime.Tests.Pretraining;

internal static class Plans
{
    public static NetworkPlan Of(int side, int width, int depth, int classes) => new()
    {
        Model = "Toy",
        SpecHash = "toy",
        Family = "vit",
        ImageSize = side,
        Tokens = 1,
        Width = width,
        Depth = depth,
        Classes = classes,
        BackboneParameters = 0,
        FrozenParameters = 0,
        TunedParameters = 0,
        HeadParameters = 0,
        Macs = 0,
        ActivationBytesPerImage = 0,
        Search = new SearchSettings(),
        Train = new TrainSettings(),
    };
}
