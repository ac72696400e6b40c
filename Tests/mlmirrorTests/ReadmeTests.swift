import Foundation
import Testing

@testable import mlmirror

@Suite("README.md")
struct ReadmeTests {
    private let readme: String
    init() throws { readme = try FolderMaker.read(FolderMaker.package + "/README.md") }

    /// The long options in a text.
    private func options(_ text: String) -> Set<String> {
        Set(text.matches(of: /--[a-z][a-z\-]*[a-z]/).map { String($0.output) })
    }

    private func helpOptions() async -> Set<String> {
        var all: Set<String> = []
        let commands =
            [
                "run", "backfill", "verify", "check", "status", "pause", "resume", "mode", "retire", "resync", "resolve", "tracking-uri",
            ].map { [$0] } + ["install", "inspect", "remove"].map { ["feed", $0] }
            + ["list", "show", "resolve"].map { ["conflicts", $0] }
            + ["list", "show", "requeue", "discard"].map { ["dead-letters", $0] }
        for command in commands {
            let world = TestWorld()
            _ = await world.run(command + ["--help"], [:])
            all.formUnion(options(world.printed))
        }
        return all
    }

    @Test("names only options that exist, and all of them")
    func options() async {
        let help = await helpOptions()
        // Of commands of other programs that it shows.
        let others: Set<String> = [
            "--use-src-user-id", "--backend-store-uri", "--query", "--output", "--now", "--catalog", "--update-catalog",
        ]
        #expect(options(readme).subtracting(others).subtracting(help).isEmpty)
        #expect(help.subtracting(options(readme)).isEmpty)
    }

    @Test("names every variable that is read")
    func variables() {
        for name in Environment.names {
            let isNamed =
                readme.contains("`\(name)`") || readme.contains("`\(name.replacing("PRIMARY", with: "SECONDARY"))`")
                || readme.contains("`\(name.replacing("SECONDARY", with: "PRIMARY"))`")
            #expect(isNamed, "\(name)")
        }
    }

    /// `AzureMLTests` runs it.
    @Test("reads an overflow document as Microsoft's client does in the tests")
    func overflowProgram() throws {
        let reader = try FolderMaker.read(FolderMaker.package + "/Tests/Support/python/azureml_reader.py")
        let start = try #require(reader.range(of: "def whole("))
        let end = try #require(reader.range(of: "\n\ndef main"))
        let program = reader[start.lowerBound..<end.lowerBound].trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(program.count > 500)
        #expect(readme.contains(program))
    }

    @Test("names every exit code")
    func exitCodes() {
        for code in [0, 1, 3, 4, 64, 69, 75, 77, 78, 129, 130, 143] { #expect(readme.contains("| \(code) |")) }
    }

    @Test("lists only commands that exist")
    func commands() {
        let named = Set(readme.matches(of: /\nmlmirror ([a-z]+) +--/).map { String($0.output.1) })
        #expect(named == ["run", "backfill", "verify", "check", "status", "pause", "resume", "resync", "resolve", "mode", "retire"])
    }
}
