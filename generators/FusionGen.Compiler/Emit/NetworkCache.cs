using System.Collections.Concurrent;
using FusionGen.Compiler.Spec;

namespace FusionGen.Compiler.Emit;

/// <summary>Compiled networks by what they are compiled from, for as long as the results of some spec hold them.</summary>
public sealed class NetworkCache
{
    // So many networks are compiled until those that nobody holds any more are forgotten.
    private const int Sweep = 64;
    private readonly ConcurrentDictionary<NetworkSource, WeakReference<CompiledNetwork>> known = new();
    private int compiled;

    /// <summary>How many were compiled.</summary>
    internal int Compiled => this.compiled;

    /// <summary>The networks of a spec, and of a policy where one was found.</summary>
    /// <exception cref="Graph.ShapeException">The spec's sizes do not fit each other.</exception>
    internal CompiledNetworks Of(SpecDocument spec, PolicyDocument? policy)
    {
        var essence = NetworkSource.Essence(spec);
        var choices = policy is null ? null : new PolicyDocument("", "", policy.Choices);
        // With a budget of memory, what a step computes again depends on the size of all networks.
        var isAlone = spec.Budget.Memory > 0;
        return new CompiledNetworks(
            spec,
            this.Get(new NetworkSource(NetworkKind.Backbone, isAlone ? essence : NetworkSource.Bare(essence), isAlone ? choices : null)),
            spec.HasOperators ? this.Get(new NetworkSource(NetworkKind.Supernet, essence, isAlone ? choices : null)) : null,
            choices is null ? null : this.Get(new NetworkSource(NetworkKind.Model, essence, choices)));
    }

    private CompiledNetwork Get(NetworkSource source)
    {
        var known = this.known.GetOrAdd(source, static _ => new WeakReference<CompiledNetwork>(null!));
        // One thread compiles it, others that want it wait.
        lock (known)
        {
            if (known.TryGetTarget(out var network))
                return network;
            known.SetTarget(network = source.Compile());
            if (Interlocked.Increment(ref this.compiled) % Sweep == 0)
                this.Forget();
            return network;
        }
    }

    private void Forget()
    {
        foreach (var pair in this.known)
        {
            if (!pair.Value.TryGetTarget(out _))
                this.known.TryRemove(pair.Key, out _);
        }
    }
}
