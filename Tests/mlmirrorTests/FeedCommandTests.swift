import Testing

@testable import mlmirror

@Suite("feed")
struct FeedCommandTests {
    private let folder: TemporaryFolder
    private let world = TestWorld()

    init() throws { folder = try TemporaryFolder() }

    @Test(
        "an address that is none is 78, and never repeated",
        arguments: ["postgresql://u:shibboleth@h/d", "shibboleth", "sqlite://shibboleth@h"])
    func address(_ text: String) async {
        for action in ["install", "inspect", "remove"] {
            #expect(await world.run(["feed", action, "--database", text], [:]) == .configuration)
            #expect(world.complained.contains("--database: ") && !world.complained.contains("shibboleth"))
        }
    }

    @Test("a file that is none is told, and not made")
    func missing() async throws {
        let uri = "sqlite:///\(folder.file("none.db"))"
        #expect(await world.run(["feed", "install", "--database", uri], [:]) == .failed)
        #expect(world.complained.contains("no database there"))
        #expect(await world.run(["feed", "install", "--database", uri, "--json"], [:]) == .failed)
        #expect(world.complained.contains(#""code":1"#) && world.printed.isEmpty)
        #expect(await world.run(["feed", "install", "--database", uri, "--log-format", "json"], [:]) == .failed)
        #expect(world.complained.contains(#""event":"failed""#))
        #expect(try FolderMaker.list(folder.path).isEmpty)
    }

    @Test("remove without --yes and without a terminal is a wrong command line")
    func unconfirmed() async {
        #expect(await world.run(["feed", "remove", "--database", "sqlite:///none.db"], [:]) == .usage)
        #expect(world.complained.contains("--yes"))
        #expect(await world.run(["feed", "remove", "--database", "sqlite:///none.db", "--yes"], [:]) == .failed)
        #expect(await world.run(["feed", "install"], [:]) == .usage)
        #expect(await world.run(["feed", "install", "--database", "sqlite:///none.db", "--yes"], [:]) == .usage)
    }

    @Test("help begins with examples", arguments: [["feed"], ["feed", "install"], ["feed", "inspect"], ["feed", "remove"]])
    func help(_ command: [String]) async {
        #expect(await world.run(command + ["--help"], [:]) == .ok)
        #expect(world.printed.contains("Examples:\n"))
    }
}
