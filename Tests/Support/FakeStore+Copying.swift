public import Replication

/// Storage that fetches files from storage. Only a store whose dialect says `fetchesFiles` is asked for that.
extension FakeStore {
    /// From now on this store's storage is let in by the other's.
    public func fetchFiles(of other: FakeStore) { state.withLock { $0.fetchesFrom = other } }

    public func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? {
        let address = "\(name): \(owner.id) \(path)"
        let found = try await read("copySource", path) { state throws(StoreError) -> [UInt8]? in
            guard let bytes = state.files[owner.id]?[path] else { return nil }
            state.given[address] = bytes
            return bytes
        }
        guard let found else { return nil }
        return ArtifactCopySource(size: Int64(found.count), tag: "\"\(found.hashValue)\"", md5: nil, address: address) { nil }
    }

    public func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy {
        guard let other = state.withLock({ $0.fetchesFrom }) else { return .refused("\(name): it is not let in") }
        guard let bytes = other.state.withLock({ $0.given[source.address] }) else { return .refused("\(name): no such address") }
        try await perform("copyArtifact", path, detail: "\(source.size) bytes") { state throws(StoreError) in
            state.files[owner.id, default: [:]][path] = bytes
        }
        progress()
        return .copied
    }
}
