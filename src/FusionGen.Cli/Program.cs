using System.Runtime.InteropServices;
using FusionGen.Cli;
using FusionGen.Cli.Output;

// The first Ctrl-C or SIGTERM asks the command to save its state and stop; the second ends the process.
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
return Tool.Run(args, Terminal.OfProcess(), stop.Token);

void Ask(PosixSignalContext context)
{
    context.Cancel = !stop.IsCancellationRequested;
    stop.Cancel();
}
