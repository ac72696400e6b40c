import ArgumentParser
import Testing

@testable import mlmirror

/// What holds for every command, whichever there are.
@Suite struct ConventionTests {
    private static func leaves(_ type: any ParsableCommand.Type, _ path: [String]) -> [(path: [String], type: any ParsableCommand.Type)] {
        let below = type.configuration.subcommands
        guard !below.isEmpty else { return [(path, type)] }
        return below.flatMap { leaves($0, path + [$0.configuration.commandName ?? ""]) }
    }

    private static var commands: [(path: [String], type: any ParsableCommand.Type)] { leaves(MlmirrorCommand.self, []) }

    @Test func everyCommandHasTheSameHabits() async {
        #expect(Self.commands.count > 20)
        for (path, type) in Self.commands {
            let name = path.joined(separator: " ")
            #expect(type is any SessionCommand.Type, "\(name)")
            #expect(type.configuration.discussion.hasPrefix("Examples:\n  mlmirror \(name)"), "\(name): help begins with examples")
            let world = TestWorld()
            #expect(await world.run(path + ["--help"]) == .ok && world.complained.isEmpty, "\(name)")
            let help = world.printed
            for option in ["--json", "-q, --quiet", "-v, --verbose", "--no-progress", "--color", "--log-format", "--version", "-h, --help"]
            {
                #expect(help.contains("  \(option)"), "\(name) \(option)")
            }
            // One letter means one thing.
            for (short, long) in [("-n", "--dry-run"), ("-y", "--yes"), ("-o", "--report")]
            where help.contains("  \(long)") || help.contains(", \(long)") {
                #expect(help.contains("  \(short), \(long)"), "\(name) \(long)")
            }
            for line in help.split(separator: "\n") {
                for (short, long) in [
                    ("-n,", "--dry-run"), ("-y,", "--yes"), ("-o,", "--report"), ("-q,", "--quiet"), ("-v,", "--verbose"),
                ]
                where line.hasPrefix("  \(short)") {
                    #expect(line.hasPrefix("  \(short) \(long)"), "\(name): \(line)")
                }
            }
        }
    }

    /// With `--json` a wrong command line is a document too, and nothing is on standard output.
    @Test func aWrongCommandLineIsToldByEveryCommand() async {
        for (path, _) in Self.commands {
            let world = TestWorld()
            #expect(await world.run(path + ["--no-such-option"]) == .usage, "\(path)")
            #expect(world.printed.isEmpty && !world.complained.isEmpty, "\(path)")
            #expect(await world.run(path + ["--no-such-option", "--json"]) == .usage, "\(path)")
            #expect(world.printed.isEmpty, "\(path)")
            let document = FolderMaker.object(world.complained)
            #expect(document?["message_type"] as? String == "exit_error" && document?["code"] as? Int == 64, "\(world.complained)")
        }
    }

    @Test func aDumbTerminalIsDrawnNothingOn() throws {
        let world = TestWorld()
        let output = try OutputOptions.parse([])
        func form(_ variables: [String: String]) -> ProgressReporter.Form {
            output.progressForm(world.session(variables, isTerminal: true))
        }
        if case .bar = form([:]) {} else { Issue.record("a terminal has a bar") }
        if case .lines = form(["TERM": "dumb"]) {} else { Issue.record("a dumb one has lines") }
    }
}
