import Curl
import Foundation
import Platforms
import Replication
import TestSupport
import Testing

@Suite(.needsServer, .realServer) struct ArtifactNameTests {
    static let names = [
        "plain", "with space", " leading", "trailing ", "a+b", "a&b=c", "a?b", "a?", "a#b", "a;b", "a;", "100%", "50%20off", "%2e%2e",
        "%252e", "a%zz",
        "'single'", "\"double\"", "a\\b", "back`tick", "(x)[y]{z}", "a:b", "A:b", "file:x", "~tilde", "$HOME", "*", "<tag>", "a|b", "a,b",
        "a@b", "a=b",
        "ünïcode", "日本語", "🦊", "e\u{301}", ".hidden", "...", "a..b", "-dash", "CON", "new\nline", "tab\tname", "nul\u{0}", "..", ".",
        "/abs", "a//b",
        "C:\\x", String(repeating: "n", count: 200), "model.json", "case", "Case",
    ]

    /// Every name is kept as it is, or refused by name: never changed into another.
    @Test func keptOrRefused() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        let parent = try await store.createExperiment(name: "names", tags: [])
        for folder in ["", "dir with space/ü+%/"] {
            let run = try await store.createRun(NewRun(experiment: parent, name: "r", userID: "u", startTime: 1, tags: []))
            let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
            var kept: [String: Int64] = [:]
            for (index, name) in Self.names.enumerated() {
                let path = folder + name
                let content = [UInt8](repeating: 0x61, count: index + 1)
                do {
                    try await StoreConformance.write(store, path, content, owner)
                    kept[path] = Int64(content.count)
                    #expect(try await StoreConformance.read(store, path, owner) == content, "\(path.debugDescription)")
                } catch let error as StoreError {
                    #expect(error.reason == .invalid && error.decision == .setAside, "\(path.debugDescription): \(error)")
                }
            }
            #expect(try await StoreConformance.tree(store, owner) == kept)
            #expect(kept.count >= 37, "only \(kept.count) of \(Self.names.count) names are kept")
            let refused = Self.names.filter { kept[folder + $0] == nil }
            print("refused under \(folder.debugDescription): \(refused)")
        }
    }
}

@Suite(.needsServer, RealServer(options: ["--no-serve-artifacts", "--default-artifact-root", "./roots"])) struct UnproxiedRootTests {
    /// The server opens its own roots; files beyond its limits are refused with a reason.
    @Test func goesThroughTheServer() async throws {
        let client = HTTPClient()
        defer { client.shutdown() }
        let store = try RealServer.store(client)
        let parent = try await store.createExperiment(name: "unproxied", tags: [])
        let run = try await store.createRun(NewRun(experiment: parent, name: "r", userID: "u", startTime: 1, tags: []))
        let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
        let content = [UInt8](repeating: 7, count: 3_000_000)
        try await StoreConformance.write(store, "dir/a b.bin", content, owner)
        #expect(try await StoreConformance.read(store, "dir/a b.bin", owner) == content)
        #expect(try await StoreConformance.tree(store, owner) == ["dir/a b.bin": 3_000_000])
        for size in [0, 10 << 20 + 1] {
            do {
                try await StoreConformance.write(store, "x", [UInt8](repeating: 1, count: size), owner)
                Issue.record("\(size) bytes were written")
            } catch let error as StoreError {
                #expect(error.reason == .unsupported && error.message.contains("--serve-artifacts"), "\(error)")
            }
        }
        do {
            _ = try await StoreConformance.read(store, "nothing", owner)
            Issue.record("read what is not there")
        } catch let error as StoreError {
            #expect(error.reason == .notFound, "\(error)")
        }
    }
}
