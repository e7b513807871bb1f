namespace FusionGen.Static;

/// <summary>Who computes a network.</summary>
public enum Engine
{
    /// <summary>Modules on libtorch, with its autograd: any device, any type, the oracle.</summary>
    Eager,

    /// <summary>The compiled program: on the CPU in float32, or on an <see cref="Accelerator"/>.</summary>
    Static,
}
