using System.Text.Json;
using System.Text.RegularExpressions;
using FusionGen.Weights;

namespace FusionGen.Cli.Tests;

/// <summary>The whole path on a spec of seconds: search, policy, rebuild, train, evaluate, predict, report.</summary>
[TestFixture]
internal sealed class RunTests
{
    [Test]
    public void A_run_with_every_control_leaves_a_complete_folder_behind()
    {
        using var project = new TinyProject();
        project.WriteImages();
        var run = project.At("run");
        var result = CommandLine.Run("run", project.Spec, "--weights", "none", "--controls", "linear,single,none", "--out", run, "--write-policy");
        Assert.That(result.Code, Is.Zero, result.Errors);
        string[] files = ["spec.lock.yaml", "env.json", "metrics.jsonl", "alpha.csv", "policy.yaml", "summary.csv", "report.html", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"];
        Assert.Multiple(() =>
        {
            Assert.That(files.Where(file => !File.Exists(Path.Combine(run, file))), Is.Empty);
            Assert.That(result.Output, Does.Contain("found policy").And.Contain("add in all layers").And.Contain("cross in all layers").And.Contain("linear probe").And.Contain("head alone"));
            Assert.That(File.ReadAllText(project.At("tiny.policy.yaml")), Is.EqualTo(File.ReadAllText(Path.Combine(run, "policy.yaml"))));
            Assert.That(File.ReadAllText(Path.Combine(run, "report.html")), Does.Contain("<svg").And.Contain("top1 of linear probe"));
            Assert.That(CommandLine.Run("check", project.Spec).Errors, Is.Empty);
        });
    }

    /// <summary>Every control under two seeds, stopped in the search, in a control, between the layers of a perturbation and before a probe: the table of a run that was not.</summary>
    [Test]
    public void A_run_with_all_controls_continues_wherever_it_was_stopped()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string[] command = ["run", project.Spec, "--weights", "none", "--threads", "1", "--seeds", "0,1", "--controls", "--out"];
        var whole = CommandLine.Run([.. command, project.At("whole")]);
        Assert.That(whole.Code, Is.Zero, whole.Errors);
        foreach (var place in new[] { "part 1 of", "random policies: ", "perturb 1/2: ", "part 10 of", "search at cost 0", "part 20 of" })
        {
            var stopped = CommandLine.RunUntil(place, [.. command, project.At("parts")]);
            Assert.That(stopped.Code, Is.EqualTo((int)ExitCode.Checkpointed), $"{place}: {stopped.Errors}");
        }
        var rest = CommandLine.Run([.. command, project.At("parts")]);
        Assert.That(rest.Code, Is.Zero, rest.Errors);
        var (expected, actual) = (Table(project.At("whole")), Table(project.At("parts")));
        Assert.Multiple(() =>
        {
            Assert.That(actual, Is.EqualTo(expected));
            Assert.That(expected.Skip(1).Select(row => row.Split('"')[1]).Distinct(), Is.EqualTo(new[]
            {
                "found policy", "add in all layers", "prefix in all layers", "cross in all layers", "random policies", "equal π perturbed", "search at cost 0", "no operators, head alone", "linear probe",
            }));
            Assert.That(expected, Has.Length.EqualTo(1 + (2 * 11)));
            Assert.That(whole.Output, Does.Contain("random policies").And.Contain("±"));
            Assert.That(whole.Errors, Does.Contain("part 22 of 22: seed 1, linear probe, about "));
            Assert.That(File.ReadAllText(project.At("whole", "report.html")), Does.Contain("<svg").And.Contain("equal π perturbed"));
            Assert.That(File.ReadAllText(project.At("whole", "summary.md")), Does.Contain("| found policy | "));
            Assert.That(File.ReadAllText(project.At("whole", "seed-1", "report.html")), Does.Contain("top1 of random policies"));
        });

        // All but the seconds.
        static string[] Table(string folder) => [.. File.ReadAllLines(Path.Combine(folder, "summary.csv")).Select(line => Regex.Replace(line, ",[0-9]+\\.[0-9],(?=[^,]*$)", ","))];
    }

    [Test]
    public void An_operator_that_is_no_candidate_everywhere_has_no_control_and_that_is_said()
    {
        using var project = new TinyProject();
        project.WriteImages();
        File.WriteAllText(project.Spec, File.ReadAllText(project.Spec).Replace("- { at: 0..1, candidates: [add, prefix, cross] }", "- { at: 0, candidates: [add, prefix, cross] }\n  - { at: 1, candidates: [add, cross] }"));
        var result = CommandLine.Run("run", project.Spec, "--weights", "none", "--controls", "single", "--out", project.At("run"));
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Errors, Does.Contain("no control of prefix in all layers: it is no candidate of layer 1"));
        Assert.That(result.Output, Does.Contain("add in all layers").And.Contain("cross in all layers").And.Not.Contain("prefix in all layers"));
    }

    [Test]
    public void Specs_are_compared_in_the_order_given_and_the_comparison_continues()
    {
        using var project = new TinyProject();
        project.WriteImages();
        var (deep, bare) = (project.At("deep.fusion.yaml"), project.At("bare.fusion.yaml"));
        File.WriteAllText(deep, File.ReadAllText(project.Spec).Replace("  add: { kind: add }\n", "").Replace("  cross: { kind: cross-attention, reduction: 4 }\n", "").Replace("[add, prefix, cross]", "[prefix]"));
        var lines = File.ReadAllLines(project.Spec).ToList();
        lines.RemoveRange(lines.IndexOf("operators:"), 6);
        File.WriteAllLines(bare, lines);
        string[] command = ["compare", deep, project.Spec, bare, "--weights", "none", "--threads", "1", "--seeds", "0,1", "--out"];
        var stopped = CommandLine.RunUntil("part 5 of", [.. command, project.At("table")]);
        Assert.That(stopped.Code, Is.EqualTo((int)ExitCode.Checkpointed), stopped.Errors);
        var result = CommandLine.Run([.. command, project.At("table")]);
        Assert.That(result.Code, Is.Zero, result.Errors);
        var rows = File.ReadAllLines(project.At("table", "summary.csv")).Skip(1).Select(line => string.Join(',', line.Split(',').Take(2))).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(rows, Is.EqualTo(new[] { "\"deep\",0", "\"tiny\",0", "\"bare\",0", "\"linear probe\",0", "\"deep\",1", "\"tiny\",1", "\"bare\",1", "\"linear probe\",1" }));
            Assert.That(result.Errors, Does.Not.Contain("part 1 of").And.Contain("part 6 of 8").And.Contain(" left"));
            Assert.That(result.Output.IndexOf("deep", StringComparison.Ordinal), Is.LessThan(result.Output.IndexOf("tiny", StringComparison.Ordinal)));
            Assert.That(File.ReadAllText(project.At("table", "report.html")), Does.Contain("linear probe</td>").And.Contain("<svg"));
            // What was trained can be used, whether it was searched or not.
            foreach (var name in new[] { "deep", "tiny", "bare" })
                Assert.That(File.Exists(project.At("table", name, "seed-1", "adapter", "adapter_model.safetensors")), name);
        });
    }

    [Test]
    public void A_network_that_diverges_does_not_keep_others_from_their_row()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string Spec(string name, string rate)
        {
            var path = project.At($"{name}.fusion.yaml");
            File.WriteAllText(path, File.ReadAllText(project.Spec).Replace("candidates: [add, prefix, cross]", "candidates: [add]", StringComparison.Ordinal)
                .Replace("train: { epochs: 2, batch: 8, optimizer: { lr: 0.01 }", $"train: {{ continue: false, epochs: 2, batch: 8, optimizer: {{ kind: sgd, lr: {rate} }}", StringComparison.Ordinal));
            return path;
        }
        var result = CommandLine.Run("compare", Spec("wild", "1000"), Spec("calm", "0.01"), "--weights", "none", "--threads", "1", "--out", project.At("table"), "--set", "train.optimizer.momentum=0.99", "--set", "train.epochs=40");
        Assert.That((result.Code, result.Errors), Is.EqualTo(((int)ExitCode.Diverged, result.Errors)));
        Assert.Multiple(() =>
        {
            Assert.That(result.Errors, Does.Contain("wild, seed 0: diverged in epoch"));
            Assert.That(result.Output, Does.Contain("calm").And.Not.Contain("wild"));
            Assert.That(File.ReadAllLines(project.At("table", "summary.csv")), Has.Length.EqualTo(3));
        });
    }

    [Test]
    public void Search_and_train_in_two_commands_give_what_run_gives()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string[] common = [project.Spec, "--weights", "none", "--threads", "1", "--out"];
        Succeed(["run", .. common, project.At("one")]);
        Succeed(["search", .. common, project.At("two")]);
        Succeed(["train", .. common, project.At("two")]);
        using var one = SafeTensors.Open(project.At("one", "adapter", "adapter_model.safetensors"));
        using var two = SafeTensors.Open(project.At("two", "adapter", "adapter_model.safetensors"));
        Assert.That(two.Digest(), Is.EqualTo(one.Digest()));
    }

    [Test]
    public void A_trained_adapter_evaluates_and_predicts()
    {
        using var project = new TinyProject();
        project.WriteImages();
        string[] longer = ["--set", "train.epochs=20", "--set", "search.epochs=4"];
        Succeed(["run", project.Spec, "--weights", "none", "--out", project.At("run"), .. longer]);
        string[] trained = [project.Spec, "--weights", "none", "--adapter", project.At("run", "adapter")];
        var evaluated = Succeed(["eval", .. trained]);
        var predicted = Succeed(["predict", project.Spec, Path.Combine(project.Images, "test", "red", "00.png"), "--weights", "none", "--adapter", project.At("run", "adapter"), "--top", "2"]);
        Assert.That(evaluated, Does.Contain("images, test: top-1 100.0 %"), "red and blue squares are told apart");
        Assert.That(predicted, Does.Contain("00.png: red ").And.Contain(", blue "));
    }

    /// <summary>Without operators there is nothing to search: what of the backbone is tuned trains, saves and loads like any model.</summary>
    [Test]
    public void A_spec_without_operators_trains_what_it_tunes([Values("bias", "{ last: 1 }", "all")] string tune)
    {
        using var project = new TinyProject();
        project.WriteImages();
        var text = File.ReadAllText(project.Spec);
        File.WriteAllText(project.Spec, Regex.Replace(Regex.Replace(text, @"(?ms)^(prompts|operators|layers|search|budget):.*?(?=^[a-z]|\z)", ""), "^classes:", $"tune: {tune}\nclasses:", RegexOptions.Multiline));
        var run = project.At("run");
        var result = CommandLine.Run("train", project.Spec, "--weights", "none", "--out", run);
        Assert.That(result.Code, Is.Zero, result.Errors);
        result = CommandLine.Run("eval", project.Spec, "--weights", "none", "--adapter", Path.Combine(run, "adapter"));
        Assert.That(result.Code, Is.Zero, result.Errors);
        Assert.That(result.Output, Does.Contain("top-1"));
    }

    /// <summary>E²VPT's recipe: masks are tuned, scored and fixed, and every pruning is trained from the same start; what comes out is a model of fixed masks.</summary>
    [Test]
    public void Pruned_masks_are_trained_anew_and_kept()
    {
        using var project = new TinyProject();
        project.WriteImages();
        var spec = File.ReadAllText(project.Spec);
        File.WriteAllText(project.Spec, spec[..spec.IndexOf("prompts:", StringComparison.Ordinal)] + """
            prompts: { tokens: 4, dropout: 0.1 }
            operators: { e2vpt: { kind: e2vpt, rows: 2 } }
            layers: [ { at: 0..1, candidates: [e2vpt] } ]
            train: { epochs: 2, batch: 8, continue: false, optimizer: { lr: 0.01 }, preprocessing: vpt-vtab }

            """);
        string[] command = ["train", project.Spec, "--weights", "none", "--out", project.At("run"), "--prune", "0.25,0.5"];
        Succeed(command);
        Assert.That(Directory.Exists(project.At("run", "pruned-0.25")) && Directory.Exists(project.At("run", "pruned-0.5")));
        Assert.That(File.ReadAllText(project.At("run", "spec.lock.yaml")), Does.Contain("masks: fixed"));
        byte[] Adapter() => File.ReadAllBytes(project.At("run", "adapter", "adapter_model.safetensors"));
        var bits = Adapter();
        using (var adapter = SafeTensors.Open(project.At("run", "adapter", "adapter_model.safetensors")))
        {
            using var prompts = adapter.Read("operators.e2vpt.mask.prompts");
            using var segments = adapter.Read("operators.e2vpt.mask.segments");
            var (ofPrompts, ofSegments) = (prompts.data<float>().ToArray(), segments.data<float>().ToArray());
            Assert.That(ofPrompts.Concat(ofSegments).Distinct(), Is.EquivalentTo(new[] { 0f, 1 }));
            var gone = ofPrompts.Count(mask => mask == 0);
            Assert.That((gone, ofSegments.Count(mask => mask == 0)), Is.AnyOf((1, 12), (2, 16)), "a quarter, or half, of the prompts, and of the segments of the others");
        }
        Assert.That(Succeed(["eval", project.Spec, "--weights", "none", "--adapter", project.At("run", "adapter"), "--set", "operators.e2vpt.masks=fixed"]), Does.Contain("top-1"));
        Succeed(command);
        Assert.That(Adapter(), Is.EqualTo(bits), "everything is taken over from its checkpoints");
        Assert.That(CommandLine.Run("train", project.Spec, "--weights", "none", "--out", project.At("no"), "--prune", "2").Errors, Does.Contain("'2' is no share"));
    }

    [Test]
    public void Several_seeds_come_to_one_table()
    {
        using var project = new TinyProject();
        project.WriteImages();
        var output = Succeed(["run", project.Spec, "--weights", "none", "--seeds", "0,1", "--out", project.At("runs")]);
        Assert.That(output, Does.Contain("±").And.Contain("policy, seed 1:"));
        Assert.That(File.ReadAllLines(project.At("runs", "summary.csv")), Has.Length.EqualTo(3));
        Assert.That(File.Exists(project.At("runs", "seed-1", "report.html")));
    }

    [Test]
    public void Pretrained_weights_carry_their_making_and_load()
    {
        using var project = new TinyProject();
        project.WriteImages();
        var spec = project.At("backbone.fusion.yaml");
        File.WriteAllText(spec, "fusiongen: 1\nmodel: Backbone\nnamespace: A\nbackbone: { family: vit, image: 16, patch: 8, width: 16, depth: 2, heads: 2, mlp: 32 }\nclasses: 32\ntune: all\n");
        var weights = project.At("backbone.safetensors");
        Succeed(["pretrain", spec, "--out", weights, "--steps", "3", "--batch", "4", "--warmup", "1", "--course", "1", "--seed", "5"]);
        using (var file = SafeTensors.Open(weights))
        {
            Assert.That(file.Metadata["command"], Does.Contain("--seed 5"));
            Assert.That(file.Metadata, Does.ContainKey("accuracy").And.ContainKey("hours"));
            Assert.That(file.Has("head.weight"), Is.False);
        }
        Succeed(["search", project.Spec, "--weights", weights, "--out", project.At("run")]);
        using var environment = JsonDocument.Parse(File.ReadAllText(project.At("run", "env.json")));
        Assert.That(environment.RootElement.GetProperty("weights_sha256").GetString(), Has.Length.EqualTo(64));
    }

    [Test]
    public void The_environment_names_the_command_and_the_seed()
    {
        using var project = new TinyProject();
        project.WriteImages();
        Succeed(["search", project.Spec, "--weights", "none", "--out", project.At("run"), "--seed", "7"]);
        using var environment = JsonDocument.Parse(File.ReadAllText(project.At("run", "env.json")));
        Assert.That(environment.RootElement.GetProperty("seed").GetString(), Is.EqualTo("7"));
        Assert.That(environment.RootElement.GetProperty("command").GetString(), Does.StartWith("fusiongen search "));
    }

    [Test]
    public void A_report_is_rendered_anew_to_the_byte()
    {
        using var project = new TinyProject();
        project.WriteImages();
        Succeed(["run", project.Spec, "--weights", "none", "--out", project.At("run")]);
        var before = File.ReadAllText(project.At("run", "report.html"));
        File.Delete(project.At("run", "report.html"));
        Succeed(["report", project.At("run")]);
        Assert.That(File.ReadAllText(project.At("run", "report.html")), Is.EqualTo(before));
    }

    private static string Succeed(string[] arguments)
    {
        var result = CommandLine.Run(arguments);
        Assert.That(result.Code, Is.Zero, result.Errors);
        return result.Output;
    }
}
