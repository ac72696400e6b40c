public import Replication

extension StoreConformance {
    static func owner(_ run: Run) -> ArtifactOwner { ArtifactOwner(.run(run.id), root: run.artifactURI) }

    public static func write(_ store: any WritableStore, _ path: String, _ content: [UInt8], _ owner: ArtifactOwner) async throws {
        try await store.writeArtifact(path, size: Int64(content.count), to: owner, ByteStream(content))
    }

    public static func read(_ store: any TrackingStore, _ path: String, _ owner: ArtifactOwner) async throws -> [UInt8] {
        try await store.readArtifact(path, of: owner) { try await $0.collect() }
    }

    /// Bytes without a pattern. Eight at a time: a debug build takes seconds for millions of steps, and the threads of all tests are few.
    static func bytes(_ count: Int) -> [UInt8] {
        var state: UInt64 = 88_172_645_463_325_252
        let words = [UInt64](unsafeUninitializedCapacity: count / 8 + 1) { buffer, initialized in
            var at = 0
            while at < buffer.count {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                buffer.initializeElement(at: at, to: state)
                at += 1
            }
            initialized = buffer.count
        }
        return words.withUnsafeBytes { Array($0.prefix(count)) }
    }

    /// The whole tree: path to size.
    public static func tree(_ store: any TrackingStore, _ owner: ArtifactOwner, under path: String = "") async throws -> [String: Int64] {
        var files: [String: Int64] = [:]
        for entry in try await all({ try await store.artifacts(of: owner, under: path, $0) }) {
            if entry.isDirectory {
                files.merge(try await tree(store, owner, under: entry.path)) { $1 }
            } else {
                files[entry.path] = try unwrap(entry.size, "the size of \(entry.path)")
            }
        }
        return files
    }

    static let artifactCases = [
        Case(name: "artifact: sizes from nothing to 20 MB") { store in
            let owner = owner(try await run(store, in: try await experiment(store)))
            let sizes = [0, 1, 65_537, 20_000_000]
            for size in sizes { try await write(store, "file\(size)", bytes(size), owner) }
            let files = try await tree(store, owner)
            try equal(files, Dictionary(uniqueKeysWithValues: sizes.map { ("file\($0)", Int64($0)) }))
            for size in sizes { try require(try await read(store, "file\(size)", owner) == bytes(size), "\(size) bytes changed") }
        },
        Case(name: "artifact: one level at a time") { store in
            let owner = owner(try await run(store, in: try await experiment(store)))
            for path in ["a.txt", "dir/b.txt", "dir/sub/c.txt", "dir/sub/d.html", "dir2/e"] {
                try await write(store, path, Array("<html>\(path)</html>".utf8), owner)
            }
            try equal(Set(try await store.artifacts(of: owner, under: "", nil).elements.map(\.path)), ["a.txt", "dir", "dir2"])
            let level = try await store.artifacts(of: owner, under: "dir", nil).elements.sorted { $0.path < $1.path }
            try equal(level.map(\.path), ["dir/b.txt", "dir/sub"])
            try equal(level.map(\.isDirectory), [false, true])
            try equal(try await tree(store, owner).count, 5)
            try equal(try await read(store, "dir/sub/d.html", owner), Array("<html>dir/sub/d.html</html>".utf8))
            try equal(try await store.artifacts(of: owner, under: "none", nil).elements, [])
        },
        Case(name: "artifact: written over, missing, cut short") { store in
            let owner = owner(try await run(store, in: try await experiment(store)))
            try await write(store, "a", Array("first".utf8), owner)
            try await write(store, "a", Array("second, longer".utf8), owner)
            try equal(try await read(store, "a", owner), Array("second, longer".utf8))
            try await refuses(.notFound) { _ = try await read(store, "nothing", owner) }
            try await refuses(.truncated) { try await store.writeArtifact("short", size: 200_000, to: owner, ByteStream(bytes(100_000))) }
            try await refuses(.truncated) { try await store.writeArtifact("long", size: 100_000, to: owner, ByteStream(bytes(200_000))) }
            try await refuses(.truncated) { try await store.writeArtifact("nil", size: 0, to: owner, ByteStream(bytes(1))) }
            let files = try await tree(store, owner)
            try require(files["short"] != 200_000 && files["long"] != 100_000, "a file that looks whole: \(files)")
        },
        Case(name: "artifact: the source's failure is the caller's") { store in
            struct SourceFailed: Error {}
            let owner = owner(try await run(store, in: try await experiment(store)))
            do {
                try await store.writeArtifact("a", size: 10, to: owner, ByteStream { throw SourceFailed() })
                throw Failure(description: "no failure")
            } catch is SourceFailed {}
            try await write(store, "b", bytes(100_000), owner)
            do {
                try await store.readArtifact("b", of: owner) { _ in throw SourceFailed() }
                throw Failure(description: "no failure")
            } catch is SourceFailed {}
        },
        Case(name: "artifact: of a logged model") { store in
            guard store.dialect.hasLoggedModels else { return try await loggedModelsAreUnsupported(store) }
            let parent = try await experiment(store)
            let model = try await store.createLoggedModel(
                NewLoggedModel(experiment: parent, name: "m", modelType: nil, sourceRun: nil, params: [], tags: []))
            let owner = ArtifactOwner(.loggedModel(model.id), root: model.artifactURI)
            for path in ["MLmodel", "data/model bytes.pkl"] { try await write(store, path, bytes(70_000), owner) }
            try equal(try await tree(store, owner), ["MLmodel": 70_000, "data/model bytes.pkl": 70_000])
            try require(try await read(store, "data/model bytes.pkl", owner) == bytes(70_000), "bytes changed")
        },
    ]
}
