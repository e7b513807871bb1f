using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp;

public static class TensorExtensionMethods
{
    public static Parameter AsParameter(this Tensor tensor) => new(tensor);

    public static float ToSingle(this Tensor value) => Checked(value).ToScalar().ToSingle();

    public static double ToDouble(this Tensor value) => Checked(value).ToScalar().ToDouble();

    public static int ToInt32(this Tensor value) => Checked(value).ToScalar().ToInt32();

    public static long ToInt64(this Tensor value) => Checked(value).ToScalar().ToInt64();

    public static bool ToBoolean(this Tensor value) => Checked(value).ToScalar().ToBoolean();

    public static int ElementSize(this ScalarType type) => type switch
    {
        ScalarType.Byte or ScalarType.Int8 or ScalarType.Bool => 1,
        ScalarType.Int16 or ScalarType.Float16 or ScalarType.BFloat16 => 2,
        ScalarType.Int32 or ScalarType.Float32 => 4,
        _ => 8,
    };
}

public static class ModuleExtensionMethods
{
    public static T to<T>(this T module, Device device, bool non_blocking = false)
        where T : nn.Module => Converted(module, null, device, non_blocking);

    public static T to<T>(this T module, ScalarType type, bool non_blocking = false)
        where T : nn.Module => Converted(module, type, null, non_blocking);

    public static T to<T>(this T module, Device device, ScalarType type, bool non_blocking = false)
        where T : nn.Module => Converted(module, type, device, non_blocking);

    public static T cpu<T>(this T module, bool non_blocking = false)
        where T : nn.Module => module.to(CPU, non_blocking);

    public static T cuda<T>(this T module, int deviceIndex = -1, bool non_blocking = false)
        where T : nn.Module => module.to(new Device(DeviceType.CUDA, deviceIndex), non_blocking);

    public static T @float<T>(this T module, bool non_blocking = false)
        where T : nn.Module => module.to(ScalarType.Float32, non_blocking);

    public static T @double<T>(this T module, bool non_blocking = false)
        where T : nn.Module => module.to(ScalarType.Float64, non_blocking);

    private static T Converted<T>(T module, ScalarType? type, Device? device, bool nonBlocking)
        where T : nn.Module
    {
        ArgumentNullException.ThrowIfNull(module);
        module.Convert(type, device, nonBlocking);
        return module;
    }
}
