import Foundation
import Glibc
import Logging
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// The command line, and the streams that a command speaks on.
extension CommandTests {
    @Test(
        "what is wrong with the command line is 64, said on standard error",
        arguments: [
            ["backfill"], ["backfill", "--primary", "http://a", "--secondary", "ftp://b", "--state", "s"], ["backfill", "--since", "soon"],
            ["backfill", "--colour", "never"], ["backfill", "--color", "maybe"], ["backfill", "--dry"], ["backfill", "-q", "-v"],
            ["verify", "--report", "r.html"], ["verify", "--report", "-"], ["check", "--deep"], ["run"], ["mirror"],
            ["backfill", "--primary", "http://u:p@a", "--secondary", "http://b", "--state", "s"],
        ])
    func usage(_ arguments: [String]) async throws {
        #expect(await world.run(arguments, [:]) == .usage)
        #expect(world.printed.isEmpty)
        #expect(!world.complained.isEmpty)
        #expect(await world.run(arguments + ["--json"], [:]) == .usage)
        let last = world.complained.split(separator: "\n").last.map(String.init) ?? ""
        #expect(FolderMaker.object(last)?["code"] as? Int == 64)
    }

    @Test(
        "help and version are results", arguments: [[], ["--help"], ["help"], ["backfill", "-h"], ["--version"], ["verify", "--version"]])
    func help(_ arguments: [String]) async {
        #expect(await world.run(arguments, [:]) == .ok)
        #expect(!world.printed.isEmpty)
        #expect(world.complained.isEmpty)
    }

    @Test("a result that cannot be written is a failure, and named", arguments: [["--json"], ["--env"], []])
    func unwritten(_ form: [String]) async {
        let complained = Locked("")
        var session = world.session()
        session.console = Console(
            output: Console.Stream(isTerminal: false) { _ in throw WriteError(description: "No space left on device") },
            errors: Console.Stream(isTerminal: false) { text in complained.withLock { $0 += text } })
        let arguments = ["tracking-uri", "--primary", "http://a", "--secondary", "http://b", "--state", state]
        #expect(await Program.run(arguments + form, in: session) == .failed)
        #expect(complained.withLock { $0 }.contains("cannot write the result: No space left on device"))
    }

    @Test("a full device is noticed, a reader that has left is not")
    func fullDevice() throws {
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let error = #expect(throws: WriteError.self) { try Console.Stream.descriptor(full).write("x") }
        #expect(error?.description == "No space left on device")
    }

    @Test("log lines are plain, and what a server said cannot steer a terminal")
    func logLines() {
        let line = LogLines.line(.warning, "set aside", ["run": "a b", "why": "\u{1B}[2J", "id": "7"])
        #expect(line == "warning set aside id=7 run=\"a b\" why=\\u{1b}[2J")
    }

    @Test("colour follows NO_COLOR and TERM, and --color wins")
    func colour() {
        let terminal = Console.Stream(isTerminal: true) { _ in }
        var session = world.session()
        session.console = Console(output: terminal, errors: terminal)
        #expect(session.style(.auto).isColored)
        session.environment = Environment(["NO_COLOR": "1"])
        #expect(!session.style(.auto).isColored)
        #expect(session.style(.always).isColored)
        session.environment = Environment(["TERM": "dumb"])
        #expect(!session.style(.auto).isColored)
        #expect(!world.session().style(.auto).isColored)
    }
}
