namespace TorchSharp.Tests;

/// <summary>These tests are of the binding: without a libtorch there is nothing to test. <see cref="Managed.Tests"/> are of what works then.</summary>
[SetUpFixture]
internal sealed class LibTorchMustBeThere
{
    [OneTimeSetUp]
    public void Check()
    {
        if (!torch.TryInitializeDeviceType(DeviceType.CPU))
            Assert.Ignore("libtorch is missing: 'fusiongen doctor' says how to get it");
    }
}
