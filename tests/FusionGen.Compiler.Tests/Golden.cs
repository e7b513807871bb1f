using System.Runtime.CompilerServices;

namespace FusionGen.Compiler.Tests;

/// <summary>Files of the repository that are generated. <c>FUSIONGEN_UPDATE=1 dotnet test</c> writes them anew.</summary>
internal static class Golden
{
    /// <summary>Asserts that a file, by its path from this project's folder, has a text.</summary>
    public static void Check(string path, string text)
    {
        var full = Path.GetFullPath(Path.Combine(ProjectFolder(), path));
        if (Environment.GetEnvironmentVariable("FUSIONGEN_UPDATE") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            File.WriteAllText(full, text);
        }

        Assert.That(File.Exists(full) ? File.ReadAllText(full) : "", Is.EqualTo(text), $"{path} is stale: run FUSIONGEN_UPDATE=1 dotnet test and look at the difference.");
    }

    /// <summary>The text of a file, by its path from this project's folder.</summary>
    public static string Read(string path) => File.ReadAllText(Path.Combine(ProjectFolder(), path));

    private static string ProjectFolder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
