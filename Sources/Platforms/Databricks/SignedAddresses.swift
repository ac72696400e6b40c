import Curl
import Replication

/// Where a file is, for a while: an address that carries its own authority, and the headers that belong to it.
struct SignedAddress: Sendable {
    var url: String
    var headers: [HTTPHeader]
    /// Seconds on the owner's clock.
    var askedAt: Double
    /// Of Azure's storage, in the manner of a blob or of a file of Data Lake.
    var isOfAzure = false
}

extension SignedAddress {
    /// Most bytes of an address that Azure's storage fetches from.
    private static let longestCopied = 2048

    /// For a storage account that fetches the file by itself: nothing else than the address can be handed on to it. Blobs and files of Data
    /// Lake are the same, under two hosts.
    func copied(allowsHTTP: Bool) -> String? {
        guard isOfAzure, headers.isEmpty, url.hasPrefix("https://") || allowsHTTP && url.hasPrefix("http://") else { return nil }
        let isOfLake = TrackingURI.authority(of: url).contains(".dfs.")
        let blob = isOfLake ? url.replacing(".dfs.", with: ".blob.", maxReplacements: 1) : url
        return blob.utf8.count <= Self.longestCopied ? blob : nil
    }
}

extension SignedAddress: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var description: String { "a signed address" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Gets addresses in batches, for the file that is wanted and those listed after it: just before they are used, for they end.
actor SignedAddresses {
    typealias Ask = @Sendable ([String]) async throws -> [ExactName: SignedAddress]
    private var listed: [ArtifactOwner.ID: [String]] = [:]
    private var held: [ArtifactOwner.ID: [ExactName: SignedAddress]] = [:]
    private static let batch = 50
    /// Seconds: far below the life of any.
    private static let life = 300.0
    /// Owners at a time; and files of one that are remembered.
    private static let most = 100
    private static let mostFiles = 10_000

    func note(_ files: [String], of owner: ArtifactOwner.ID) {
        if listed[owner] == nil, listed.count >= Self.most { (listed, held) = ([:], [:]) }
        let new = Set(files.map { ExactName($0) })
        listed[owner] = Array((listed[owner, default: []].filter { !new.contains(ExactName($0)) } + files).suffix(Self.mostFiles))
    }

    /// - Parameter isFresh: one that was held is not good any more.
    func address(_ path: String, of owner: ArtifactOwner.ID, isFresh: Bool, now: Double, _ ask: Ask) async throws -> SignedAddress? {
        let name = ExactName(path)
        if isFresh { held[owner] = nil }
        if let found = held[owner]?.removeValue(forKey: name), now - found.askedAt < Self.life { return found }
        var batch = [path]
        if let files = listed[owner], let at = files.firstIndex(where: path.isExactly) {
            batch += files[(at + 1)...].prefix(Self.batch - 1)
            listed[owner] = Array(files[..<at] + files[(at + 1)...].dropFirst(batch.count - 1))
        }
        var found: [ExactName: SignedAddress]
        do {
            found = try await ask(batch)
        } catch let error as StoreError where error.decision == .setAside && batch.count > 1 {
            found = try await ask([path])
        }
        var wanted = found.removeValue(forKey: name)
        // Another one may have asked for others meanwhile.
        if !found.isEmpty { held[owner, default: [:]].merge(found) { $1 } }
        if wanted == nil, batch.count > 1 { wanted = try await ask([path])[name] }
        return wanted
    }
}
