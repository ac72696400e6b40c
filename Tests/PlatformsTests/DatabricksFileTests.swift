import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// Files by addresses that carry their own authority.
@Suite struct DatabricksFileTests {
    private static let owner = ArtifactOwner(.run(RunID("r")), root: "dbfs:/databricks/mlflow-tracking/1/r/artifacts")
    private struct Broken: Error {}
    private static let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }

    /// Storage, behind a workspace that signs for it: `signed` counts the addresses.
    private func with(
        names: [String] = ["a"], root: String = "dbfs:/x",
        _ storage: @escaping @Sendable (RawRequest, RawConnection, _ number: Int) throws -> Void,
        _ body: (MLflowStore, Workspace) async throws -> Void
    ) async throws {
        let count = Locked(0)
        let workspace = try Workspace { request, connection in
            let host = "http://" + (request.header("host") ?? "")
            if request.target.hasPrefix("/storage/") {
                let number = request.target.split(separator: "=").last.flatMap { Int($0) } ?? 0
                try storage(request, connection, number)
            } else if request.target.contains("artifacts/list") {
                let files = names.map { "{\"path\":\"\($0)\",\"is_dir\":false,\"file_size\":300000}" }
                try connection.json("{\"root_uri\":\"\(root)\",\"files\":[\(files.joined(separator: ","))]}")
            } else if request.target.contains("credentials-for-read") {
                struct Body: Decodable { var path: [String] }
                let paths = try JSONDecoder().decode(Body.self, from: Data(request.body)).path
                let infos = paths.map { path in
                    let number = count.withLock { count in
                        count += 1
                        return count
                    }
                    return "{\"run_id\":\"r\",\"path\":\"\(path)\",\"signed_uri\":\"\(host)/storage/\(path)?sig=canary&n=\(number)\","
                        + "\"headers\":[{\"name\":\"x-given\",\"value\":\"v\"}],\"type\":\"AZURE_SAS_URI\"}"
                }
                try connection.json("{\"credential_infos\":[\(infos.joined(separator: ","))]}")
            } else {
                return false
            }
            return true
        }
        try await workspace.with(["DATABRICKS_TOKEN": "canary-pat"]) { try await body($0, workspace) }
    }

    /// Such a listing has one page, and does not say whether that was all.
    @Test(arguments: [
        ("dbfs:/Volumes/c/s/v/1", 1000, true), ("dbfs:///Volumes/c/s/v/1", 1000, true), ("dbfs:/Volumes/c/s/v/1", 999, false),
        ("dbfs:/databricks/mlflow-tracking/1", 1000, false),
    ])
    func aFolderOfAVolumeThatMayBeCutIsNotWhole(_ root: String, _ count: Int, _ isCut: Bool) async throws {
        try await with(names: (0..<count).map { "f\($0)" }, root: root) { _, connection, _ in
            try connection.answer(500, [], body: [])
        } _: { store, _ in
            let page = try await store.artifacts(of: Self.owner, under: "", nil)
            #expect(page.elements.count == count && page.undecodable.isEmpty != isCut, "\(page.undecodable)")
        }
    }

    private static func whole(_ connection: RawConnection) throws { try connection.answer(200, ["ETag: \"e\""], body: content) }

    @Test func storageIsToldWhatWasGivenAndNothingElse() async throws {
        try await with { _, connection, _ in
            try Self.whole(connection)
        } _: { store, workspace in
            #expect(try await StoreConformance.read(store, "a", Self.owner) == Self.content)
            let request = try #require(workspace.server.requests.last)
            #expect(request.header("x-given") == "v" && request.header("authorization") == nil && request.header("range") == nil)
        }
    }

    @Test func addressesAreAskedForTogether() async throws {
        let names = (0..<120).map { "f\($0)" }
        try await with(names: names) { _, connection, _ in
            try Self.whole(connection)
        } _: { store, workspace in
            _ = try await store.artifacts(of: Self.owner, under: "", nil)
            for name in names { #expect(try await StoreConformance.read(store, name, Self.owner).count == 300_000) }
            #expect(workspace.asked.count { $0.target.contains("credentials-for-read") } == 3)
        }
    }

    /// S3 and Google's storage say 400.
    @Test(arguments: [(401, StoreError.Reason.forbidden), (403, .forbidden), (400, .invalid)])
    func anAddressThatEndedIsReplacedOnce(_ status: Int, _ reason: StoreError.Reason) async throws {
        try await with { _, connection, number in
            if number == 1 {
                try connection.answer(status, body: Array("<Error>AuthenticationFailed</Error>".utf8))
            } else {
                try Self.whole(connection)
            }
        } _: { store, _ in
            let content = try await StoreConformance.read(store, "a", Self.owner)
            #expect(content == Self.content)
        }
        try await with { _, connection, _ in
            try connection.answer(status)
        } _: { store, workspace in
            await expectFailure(reason) { try await StoreConformance.read(store, "a", Self.owner) }
            #expect(workspace.asked.count { $0.target.contains("credentials-for-read") } == 2)
        }
    }

    /// The rest is read from where it broke, also by another address; never of another file.
    @Test(arguments: ["\"e\"", "\"other\""], [403, 400])
    func aBrokenDownloadGoesOnWhereItIsTheSameFile(_ tag: String, _ status: Int) async throws {
        try await with { request, connection, number in
            guard let range = request.header("range") else {
                try connection.write("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: \"e\"\r\n\r\n")
                try connection.write(Array(Self.content[..<100_000]))
                throw Broken()
            }
            if number == 1 { return try connection.answer(status) }
            let from = Int(range.dropFirst("bytes=".count).prefix { $0 != "-" }) ?? 0
            guard tag == "\"e\"" else { return try connection.answer(412) }
            try connection.answer(
                206, ["ETag: \(tag)", "Content-Range: bytes \(from)-299999/300000"], body: Array(Self.content[from...]))
        } _: { store, workspace in
            if tag == "\"e\"" {
                let content = try await StoreConformance.read(store, "a", Self.owner)
                #expect(content == Self.content)
                #expect(
                    workspace.server.requests.contains { $0.header("range") == "bytes=100000-299999" && $0.header("if-match") == "\"e\"" })
            } else {
                await expectFailure(.truncated) { try await StoreConformance.read(store, "a", Self.owner) }
            }
        }
    }

    @Test func noErrorHoldsAnAddress() async throws {
        for status in [400, 403, 404, 500, 503, 0] {
            try await with { _, connection, _ in
                if status == 0 { throw Broken() }
                try connection.answer(status, body: Array("/storage/a?sig=canary".utf8))
            } _: { store, _ in
                do {
                    _ = try await StoreConformance.read(store, "a", Self.owner)
                    Issue.record("no failure")
                } catch {
                    #expect(!"\(error)".contains("canary") && !"\(error)".contains("sig") && !"\(error)".contains("/storage/"), "\(error)")
                }
            }
        }
    }
}
