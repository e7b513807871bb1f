using System.Reflection;

namespace TorchSharp.Tests;

/// <summary>Every operator resolves in this libtorch.</summary>
internal sealed class OperatorTests
{
    [Test]
    public void EveryOperatorInUseExists()
    {
        var missing = typeof(Operators).GetFields(BindingFlags.Static | BindingFlags.Public)
            .Where(field => !((Operator)field.GetValue(null)!).Exists)
            .Select(field => field.Name)
            .Except(["attention"]); // since 2.0; there is a replacement
        Assert.That(missing, Is.Empty);
    }
}
