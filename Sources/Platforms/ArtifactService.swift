import Replication

/// Who keeps a store's files, where that is not its tracking server. As `TrackingStore` and `WritableStore` say it.
protocol ArtifactService: Sendable {
    func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry>
    func readArtifact<R: Sendable>(_ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R) async throws
        -> R
    func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws
    func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource?
    func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy
}

extension ArtifactService {
    func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? { nil }
    func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy { .notTried }
}
