using System.Globalization;

namespace TorchSharp;

/// <summary>What became of the tensors of a thread. Those that the finaliser disposes count as alive: it runs elsewhere.</summary>
public class LifetimeStatistics
{
    public long CreatedOutsideScopeCount { get; internal set; }

    public long CreatedInScopeCount { get; internal set; }

    public long DisposedOutsideScopeCount { get; internal set; }

    public long DisposedInScopeCount { get; internal set; }

    public long AttachedToScopeCount { get; internal set; }

    public long DetachedFromScopeCount { get; internal set; }

    public long ThreadTotalLiveCount =>
        this.CreatedInScopeCount + this.CreatedOutsideScopeCount - this.DisposedInScopeCount - this.DisposedOutsideScopeCount;

    public void Reset()
    {
        this.CreatedOutsideScopeCount = 0;
        this.CreatedInScopeCount = 0;
        this.DisposedOutsideScopeCount = 0;
        this.DisposedInScopeCount = 0;
        this.AttachedToScopeCount = 0;
        this.DetachedFromScopeCount = 0;
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"created {this.CreatedInScopeCount} in scopes, {this.CreatedOutsideScopeCount} outside; disposed {this.DisposedInScopeCount} in scopes, {this.DisposedOutsideScopeCount} outside; attached {this.AttachedToScopeCount}, detached {this.DetachedFromScopeCount}; alive {this.ThreadTotalLiveCount}");
}

public class ThreadDisposeScopeStatistics
{
    public LifetimeStatistics TensorStatistics { get; } = new();

    public long ThreadTotalLiveCount => this.TensorStatistics.ThreadTotalLiveCount;

    public void Reset() => this.TensorStatistics.Reset();

    public override string ToString() => this.TensorStatistics.ToString();
}

/// <summary>The scopes of a thread.</summary>
public sealed class DisposeScopeManager
{
    [ThreadStatic]
    private static DisposeScopeManager? ofThread;

    private DisposeScope? innermost;

    private DisposeScopeManager()
    {
    }

    /// <summary>Of this thread.</summary>
    public static ThreadDisposeScopeStatistics Statistics => OfThread.All;

    internal static DisposeScopeManager OfThread => ofThread ??= new DisposeScopeManager();

    /// <summary>The innermost scope that is not disposed; null outside any.</summary>
    internal DisposeScope? Innermost
    {
        get
        {
            while (this.innermost is { IsDisposed: true })
                this.innermost = this.innermost.OuterOrDisposed;
            return this.innermost;
        }
        set => this.innermost = value;
    }

    internal LifetimeStatistics Tensors => this.All.TensorStatistics;

    private ThreadDisposeScopeStatistics All { get; } = new();
}
