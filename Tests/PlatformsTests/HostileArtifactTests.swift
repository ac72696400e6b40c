import Platforms
import Replication
import TestSupport
import Testing

@Suite struct HostileArtifactTests {
    @Test func listedNamesAreNotTrusted() async throws {
        let names = ["good", "..", "../x", "/etc/passwd", "C:\\\\x", "a\\u0000b", "", "sub/other", "50%20off", "a#b", "."]
        let files =
            names.map { "{\"path\":\"\($0)\",\"is_dir\":false,\"file_size\":\"7\"}" } + [
                "{\"path\":\"neg\",\"file_size\":-1}", "{\"path\":\"empty\"}",
            ]
        try await withStore(Script { _, connection in try connection.json("{\"files\":[\(files.joined(separator: ","))]}") }) {
            store, server in
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            let page = try await store.artifacts(of: owner, under: "", nil)
            #expect(
                page.elements == [
                    ArtifactEntry(path: "good", isDirectory: false, size: 7), ArtifactEntry(path: "empty", isDirectory: false, size: 0),
                ])
            #expect(page.undecodable.count == 11 && page.undecodable.allSatisfy { $0.kind == .runArtifacts })
            #expect(Set(page.undecodable.map { $0.id ?? "?" }).count == 11, "each is named")
            for name in ["..", "../x", "/etc/passwd", "a#b", "50%20off", ""] {
                await expectFailure(.invalid) { try await StoreConformance.read(store, name, owner) }
                await expectFailure(.invalid) { try await StoreConformance.write(store, name, [1], owner) }
            }
            #expect(server.requests.count == 1)
        }
    }

    /// An artifact URI that names another host is never followed: the store's own server is asked.
    @Test func aRootOnAnotherHostIsNotFollowed() async throws {
        try await withStore(Script { _, connection in try connection.answer(200, ["Content-Disposition: attachment"], body: [1, 2, 3]) }) {
            store, server in
            for root in ["mlflow-artifacts://evil:80/1", "http://evil/api/2.0/mlflow-artifacts/artifacts/1", "s3://b/1", "/etc"] {
                let content = try await StoreConformance.read(store, "a b", ArtifactOwner(.run(RunID("r")), root: root))
                #expect(content == [1, 2, 3])
            }
            #expect(server.requests.allSatisfy { $0.target == "/get-artifact?run_uuid=r&path=a%20b" } && server.requests.count == 4)
        }
    }

    @Test func aLargeFileGoesInPartsWithoutCredentials() async throws {
        let size: Int64 = 70 << 20
        try await withStore(
            Script { request, connection in
                if request.target.contains("/mpu/create/") {
                    let host = request.header("host") ?? ""
                    let parts = (1...3).reversed().map {
                        "{\"url\":\"http://\(host)/bucket/part\($0)?sig=s\",\"part_number\":\($0),\"headers\":{\"x-part\":\"\($0)\"}}"
                    }
                    try connection.json("{\"upload_id\":\"u1\",\"credentials\":[\(parts.joined(separator: ","))]}")
                } else if request.target.hasPrefix("/bucket/") {
                    try connection.answer(200, ["ETag: \"e\(request.header("x-part") ?? "")\""])
                } else {
                    try connection.json("{}")
                }
            }
        ) { store, server in
            let rest = Locked(size)
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            try await store.writeArtifact(
                "dir/big file", size: size, to: owner,
                ByteStream {
                    rest.withLock { rest in
                        let count = min(rest, 1_000_003)
                        rest -= count
                        return count > 0 ? [UInt8](repeating: 5, count: Int(count)) : nil
                    }
                })
            let requests = server.requests
            #expect(requests.map(\.method) == ["POST", "PUT", "PUT", "PUT", "POST"])
            #expect(requests.first?.target == "/api/2.0/mlflow-artifacts/mpu/create/1/r/artifacts/dir")
            #expect(String(decoding: requests[0].body, as: UTF8.self).contains("\"num_parts\":3"))
            for request in requests.filter({ $0.method == "PUT" }) {
                #expect(request.header("authorization") == nil && request.header("x-mlflow-workspace") == nil)
            }
            #expect(requests.filter { $0.method == "PUT" }.map(\.body.count) == [32 << 20, 32 << 20, 6 << 20])
            let complete = String(decoding: requests[4].body, as: UTF8.self)
            #expect(requests[4].target.hasSuffix("/mpu/complete/1/r/artifacts/dir") && complete.contains("\"upload_id\":\"u1\""))
            #expect(complete.contains("\"part_number\":1") && complete.contains("e3"))
            #expect(requests[4].header("authorization") != nil)
        }
    }

    @Test func aFailedPartEndsTheUpload() async throws {
        try await withStore(
            Script { request, connection in
                if request.target.contains("/mpu/create/") {
                    let host = request.header("host") ?? ""
                    let parts = (1...3).map { "{\"url\":\"http://\(host)/bucket/\($0)\",\"part_number\":\($0)}" }
                    try connection.json("{\"upload_id\":\"u1\",\"credentials\":[\(parts.joined(separator: ","))]}")
                } else if request.target.hasPrefix("/bucket/2") {
                    try connection.answer(503)
                } else {
                    try connection.json("{}")
                }
            }
        ) { store, server in
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            await expectFailure(.serverFailure, isInDoubt: true) {
                try await StoreConformance.write(store, "big", [UInt8](repeating: 1, count: 70 << 20), owner)
            }
            #expect(server.requests.last?.target.contains("/mpu/abort/") == true)
        }
    }

    @Test func aServerWithoutPartsIsRemembered() async throws {
        try await withStore(
            Script { request, connection in
                try connection.json(
                    request.target.contains("/mpu/") ? "{\"error_code\":\"NOT_IMPLEMENTED\"}" : "{}",
                    request.target.contains("/mpu/") ? 501 : 200)
            }
        ) { store, server in
            let owner = ArtifactOwner(.run(RunID("r")), root: "mlflow-artifacts:/1/r/artifacts")
            for _ in 0..<2 { try await StoreConformance.write(store, "big", [UInt8](repeating: 1, count: 65 << 20), owner) }
            #expect(server.requests.map(\.method) == ["POST", "PUT", "PUT"])
            #expect(server.requests.last?.body.count == 65 << 20)
        }
    }
}
