namespace TorchSharp;

/// <summary>Disposes, when it is disposed itself, what was created on its thread while it was the innermost scope and not moved out since.</summary>
public sealed class DisposeScope : IDisposable
{
    private readonly HashSet<IDisposable> disposables = new(ReferenceEqualityComparer.Instance);

    internal DisposeScope()
    {
        var thread = DisposeScopeManager.OfThread;
        this.OuterOrDisposed = thread.Innermost;
        thread.Innermost = this;
    }

    public int DisposablesCount => this.disposables.Count;

    public IReadOnlyList<IDisposable> DisposablesView => [.. this.disposables];

    internal bool IsDisposed { get; private set; }

    internal DisposeScope? OuterOrDisposed { get; }

    private DisposeScope? Outer
    {
        get
        {
            var scope = this.OuterOrDisposed;
            while (scope is { IsDisposed: true })
                scope = scope.OuterOrDisposed;
            return scope;
        }
    }

    public bool Contains(IDisposable disposable) => this.disposables.Contains(disposable);

    /// <summary>Takes charge of something, from whichever scope it is in.</summary>
    public void Attach(IDisposable disposable)
    {
        ArgumentNullException.ThrowIfNull(disposable);
        if (disposable is torch.Tensor tensor)
            Move(tensor, this);
        else
            this.disposables.Add(disposable);
    }

    public void Attach(params IDisposable[] disposables) => Each(disposables, this.Attach);

    public T Detach<T>(T disposable)
        where T : IDisposable => this.MoveToOther(null, disposable);

    public (T1 First, T2 Second) Detach<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable
        where T2 : IDisposable => (this.Detach(first), this.Detach(second));

    public void Detach(params IDisposable[] disposables) => Each(disposables, each => this.Take(each, null));

    public void Detach(IEnumerable<IDisposable> disposables) => Each(disposables, each => this.Take(each, null));

    public T MoveToOuter<T>(T disposable)
        where T : IDisposable => this.MoveToOther(this.Outer, disposable);

    public (T1 First, T2 Second) MoveToOuter<T1, T2>(T1 first, T2 second)
        where T1 : IDisposable
        where T2 : IDisposable => (this.MoveToOuter(first), this.MoveToOuter(second));

    public void MoveToOuter(params IDisposable[] disposables) => Each(disposables, each => this.Take(each, this.Outer));

    public void MoveToOuter(IEnumerable<IDisposable> disposables) => Each(disposables, each => this.Take(each, this.Outer));

    public T MoveToOther<T>(DisposeScope? scope, T disposable)
        where T : IDisposable
    {
        this.Take(disposable, scope);
        return disposable;
    }

    public void DisposeEverything() => this.DisposeEverythingBut([]);

    public void DisposeEverythingBut(params IDisposable[] keep)
    {
        HashSet<IDisposable> kept = new(keep, ReferenceEqualityComparer.Instance);
        foreach (var disposable in this.disposables.ToArray())
        {
            if (kept.Contains(disposable))
                continue;
            disposable.Dispose();
            this.disposables.Remove(disposable);
        }
    }

    public T DisposeEverythingBut<T>(T keep)
        where T : IDisposable
    {
        this.DisposeEverythingBut([keep]);
        return keep;
    }

    /// <summary>Tells the scope that something of its was disposed by someone else.</summary>
    public void MarkAsDisposed(IDisposable disposable) => this.disposables.Remove(disposable);

    public void Dispose()
    {
        if (this.IsDisposed)
            return;
        this.DisposeEverything();
        this.IsDisposed = true;
    }

    /// <summary>A new tensor belongs to the innermost scope of its thread.</summary>
    internal static void Welcome(torch.Tensor created)
    {
        var thread = DisposeScopeManager.OfThread;
        if (thread.Innermost is not { } scope)
        {
            thread.Tensors.CreatedOutsideScopeCount++;
            return;
        }
        thread.Tensors.CreatedInScopeCount++;
        created.Scope = scope;
        scope.disposables.Add(created);
    }

    /// <summary>A tensor was disposed.</summary>
    internal static void Forget(torch.Tensor disposed)
    {
        var counts = DisposeScopeManager.OfThread.Tensors;
        if (disposed.Scope is not { } scope)
        {
            counts.DisposedOutsideScopeCount++;
            return;
        }
        counts.DisposedInScopeCount++;
        scope.disposables.Remove(disposed);
        disposed.Scope = null;
    }

    /// <summary>Puts a tensor into a scope, or into none, from whichever scope it is in.</summary>
    internal static void Move(torch.Tensor tensor, DisposeScope? target)
    {
        if (tensor.Scope == target)
            return;
        var counts = DisposeScopeManager.OfThread.Tensors;
        if (tensor.Scope is null)
            counts.AttachedToScopeCount++;
        else if (target is null)
            counts.DetachedFromScopeCount++;
        tensor.Scope?.disposables.Remove(tensor);
        tensor.Scope = target;
        target?.disposables.Add(tensor);
    }

    private void Take(IDisposable disposable, DisposeScope? target)
    {
        if (disposable is torch.Tensor tensor)
        {
            if (tensor.Scope == this)
                Move(tensor, target);
            return;
        }
        if (this.disposables.Remove(disposable))
            target?.disposables.Add(disposable);
    }

    private static void Each(IEnumerable<IDisposable> disposables, Action<IDisposable> action)
    {
        ArgumentNullException.ThrowIfNull(disposables);
        foreach (var disposable in disposables)
            action(disposable);
    }
}

public static partial class torch
{
    public static DisposeScope? CurrentDisposeScope => DisposeScopeManager.OfThread.Innermost;

    public static DisposeScope NewDisposeScope() => new();

    /// <summary>Evaluates in a scope of its own, out of which only the result comes.</summary>
    public static Tensor WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        ArgumentNullException.ThrowIfNull(expr);
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(expr());
    }
}
