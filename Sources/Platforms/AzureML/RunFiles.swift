import Curl
import Foundation
import Replication

/// The files of a workspace's runs: records in the run history service, bytes in blobs that it gives addresses for.
///
/// As azureml-mlflow 1.62 reads and writes them (`_store/artifact`), and azureml-core's `_restclient` for what is there already. A path is
/// declared once and for all; the listing shows it from then on, also when its blob never came.
struct RunFiles: ArtifactService {
    let workspace: AzureWorkspace
    /// `.../history/v1.0/SCOPE`
    let history: MLflowService
    /// `.../artifact/v2.0/SCOPE`
    let artifacts: MLflowService
    let blobs: BlobStore
    let declarations: Declarations
    let listings = RecentListings()
    let breaker = CopyBreaker()

    /// Bytes: up to here one request, from here on blocks. As azure-storage-blob has it.
    static let largestSinglePut: Int64 = 64 << 20
    private static let smallestBlock: Int64 = 8 << 20
    static let mostBlocks: Int64 = 50_000
    /// A block that is held is tried for about four minutes: giving it up gives up all that were sent before it.
    private static let attemptsOfBlock = 14
    /// Seconds, at most, between two attempts.
    private static let longestRest = 30.0

    init(_ workspace: AzureWorkspace, history: MLflowService, artifacts: MLflowService, blobs: BlobStore) {
        self.workspace = workspace
        self.history = history
        self.artifacts = artifacts
        self.blobs = blobs
        declarations = Declarations(history)
    }

    /// A run in the run history service.
    struct Place: Sendable {
        var path: String
        var run: RunID
    }

    func place(_ owner: ArtifactOwner) throws(StoreError) -> Place {
        guard case .run(let id) = owner.id, let found = workspace.owner(ofRoot: owner.root), found.run == id else {
            throw StoreError(
                .setAside, .unsupported,
                "\(history.failure.store), \(owner): its files are not where this workspace keeps the files of runs: \(Redaction.text(owner.root))"
            )
        }
        let path = "/experiments/\(PercentEncoding.encode(found.experiment))/runs/\(PercentEncoding.encode(id.rawValue))/artifacts"
        return Place(path: path, run: id)
    }

    func check(_ path: String, _ owner: ArtifactOwner) throws(StoreError) {
        guard let fault = ArtifactPath.fault(path) else { return }
        throw StoreError(
            .setAside, .invalid,
            "\(history.failure.store), \(owner): the file \(path.debugDescription.prefix(300)) cannot be asked for: \(fault)")
    }

    // MARK: - Listing

    /// The service lists all files of a run at once, without sizes: those are asked for one by one.
    func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry> {
        if !path.isEmpty { try check(path, owner) }
        let place = try place(owner)
        var found = path.isEmpty ? nil : listings.recent(place.path)
        if found == nil { found = try await paths(place, owner) }
        let prefix = path.isEmpty ? "" : path + "/"
        var folders: Set<String> = []
        var names: [String] = []
        var result = Page<ArtifactEntry>([])
        for full in found ?? [] where full.hasPrefix(prefix) {
            if let fault = ArtifactPath.fault(full) {
                let reason = "\(fault): \(full.debugDescription.prefix(300))"
                result.undecodable.append(Undecodable(kind: owner.kind, id: String(full.prefix(300)), reason: reason))
                continue
            }
            let rest = full.dropFirst(prefix.count)
            if let slash = rest.firstIndex(of: "/") { folders.insert(prefix + rest[..<slash]) } else { names.append(full) }
        }
        result.elements = folders.sorted().map { ArtifactEntry(path: $0, isDirectory: true, size: nil) }
        result.elements += try await files(names.sorted(), place, owner)
        return result
    }

    private func paths(_ place: Place, _ owner: ArtifactOwner) async throws -> [String] {
        var all: [String] = []
        var token: String?
        repeat {
            let call = MLflowCall.get(place.path, token.map { [("continuationToken", $0)] } ?? [], of: "the files of \(owner)")
            let answer = try Self.decode(FilePage.self, try await history.send(call), call, history)
            all += (answer.value ?? []).map(\.path)
            let next: String?
            do { next = try answer.next() } catch { throw history.failure.malformed(call, "the link to the next page has no token") }
            guard next != token || token == nil else { throw history.failure.malformed(call, "the same page twice") }
            token = next
        } while token != nil
        listings.note(place.path, all)
        return all
    }

    /// What was declared and never written is no file.
    private func files(_ paths: [String], _ place: Place, _ owner: ArtifactOwner) async throws -> [ArtifactEntry] {
        var sizes: [ExactName: Int64] = [:]
        try await withThrowingTaskGroup(of: (String, Int64?).self) { group in
            var rest = paths[...]
            func addNext() {
                guard let path = rest.popFirst() else { return }
                group.addTask { (path, try await size(path, place, owner)) }
            }
            for _ in 0..<8 { addNext() }
            while let (path, size) = try await group.next() {
                sizes[ExactName(path)] = size
                addNext()
            }
        }
        return paths.compactMap { path in sizes[ExactName(path)].map { ArtifactEntry(path: path, isDirectory: false, size: $0) } }
    }

    func size(_ path: String, _ place: Place, _ owner: ArtifactOwner) async throws -> Int64? {
        guard let url = try await readAddress(path, place, owner) else { return nil }
        return try await blobs.size(url, of: "file \(path) of \(owner)")
    }

    // MARK: - Reading

    func readArtifact<R: Sendable>(
        _ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        try check(path, owner)
        let place = try place(owner)
        guard let url = try await readAddress(path, place, owner) else {
            throw StoreError(.setAside, .notFound, "\(history.failure.store): there is no file \(path) of \(owner)")
        }
        return try await blobs.read(url, of: "file \(path) of \(owner)", read)
    }

    private struct Content: Decodable { var contentUri: String }

    /// Nil where the path was never declared.
    private func readAddress(_ path: String, _ place: Place, _ owner: ArtifactOwner) async throws -> String? {
        let call = MLflowCall.get(place.path + "/contentinfo", [("path", path)], of: "file \(path) of \(owner)")
        do {
            return try Self.decode(Content.self, try await history.send(call), call, history).contentUri
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    // MARK: - Writing

    func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        try check(path, owner)
        let place = try place(owner)
        let subject = "writing file \(path) of \(owner)"
        defer { listings.forget(place.path) }
        let (url, isNew) = try await target(path, place, owner, subject)
        if size <= Self.largestSinglePut {
            try await blobs.put(url, size: size, isNew: isNew, of: subject, bytes)
        } else {
            try await putBlocks(path, place, url, size: size, isNew: isNew, of: subject, bytes)
        }
    }

    /// Where a file is to be written, and whether nothing may be there yet.
    func target(_ path: String, _ place: Place, _ owner: ArtifactOwner, _ subject: String) async throws -> (url: String, isNew: Bool) {
        if let address = try await declarations.declare(path, place.path) { return (address, true) }
        return try await addressOfDeclared(path, place, owner, subject)
    }

    /// A path that was declared, whose blob never came, is declared anew where the service gives no address for what is there.
    private func addressOfDeclared(_ path: String, _ place: Place, _ owner: ArtifactOwner, _ subject: String) async throws -> (
        url: String, isNew: Bool
    ) {
        do {
            return (try await writeAddress(path, place, subject), false)
        } catch let error as StoreError where [.notFound, .unsupported, .forbidden].contains(error.reason) {
            guard try await size(path, place, owner) == nil else {
                throw StoreError(
                    .setAside, .unsupported,
                    "\(history.failure.store), \(subject): the file is there with other content, and the workspace lets nobody write it anew (\(error.message))"
                )
            }
            let route = "/artifacts/ExperimentRun/dcid.\(PercentEncoding.encode(place.run.rawValue))/metadata"
            try await artifacts.send(
                MLflowCall(
                    method: .delete, path: route + PercentEncoding.query([("path", path)]), subject: "forgetting file \(path)",
                    isWrite: true))
            guard let fresh = try await declarations.declare(path, place.path) else { throw error }
            return (fresh, true)
        }
    }

    /// For a path that was declared before: by an attempt that did not live to write it, or for a file that has changed since.
    func writeAddress(_ path: String, _ place: Place, _ subject: String) async throws -> String {
        let route = "/artifacts/ExperimentRun/dcid.\(PercentEncoding.encode(place.run.rawValue))/write"
        let call = MLflowCall.get(route, [("path", path)], of: subject)
        return try Self.decode(Content.self, try await artifacts.send(call), call, artifacts).contentUri
    }

    /// Memory: one block.
    private func putBlocks(
        _ path: String, _ place: Place, _ first: String, size: Int64, isNew: Bool, of subject: String, _ bytes: ByteStream
    ) async throws {
        let blockSize = Int(max(Self.smallestBlock, (size + Self.mostBlocks - 1) / Self.mostBlocks))
        var url = first
        var ids: [String] = []
        let meter = BlobMeter()
        var source = BlockSource(bytes, size: blockSize)
        var count: Int64 = 0
        while let block = try await source.next() {
            count += Int64(block.count)
            meter.add(block)
            let id = Self.blockID(ids.count)
            try await putBlock(block, id, &url, path, place, subject)
            ids.append(id)
        }
        guard count == size else {
            let call = MLflowCall(method: .put, path: "a blob", subject: subject, isWrite: true)
            throw history.failure.truncated(call, "\(count) bytes came, \(size) were announced")
        }
        try await commit(path, place, url, ids, md5: meter.md5(), isNew: isNew, subject)
    }

    /// All of a blob have the same length.
    static func blockID(_ number: Int) -> String {
        let digits = String(number)
        return Base64.encode(Array((String(repeating: "0", count: 9 - digits.count) + digits).utf8))
    }

    func commit(
        _ path: String, _ place: Place, _ url: String, _ ids: [String], md5: String?, isNew: Bool, _ subject: String
    ) async throws {
        do {
            try await blobs.commit(url, ids, md5: md5, isNew: isNew, of: subject)
        } catch let error as StoreError where error.reason == .forbidden {
            try await blobs.commit(try await writeAddress(path, place, subject), ids, md5: md5, isNew: isNew, of: subject)
        }
    }

    /// A block is held: it can be sent again, and to another address when the first one has ended.
    private func putBlock(
        _ block: [UInt8], _ id: String, _ url: inout String, _ path: String, _ place: Place, _ subject: String
    ) async throws {
        var attempt = 1
        while true {
            do {
                return try await blobs.putBlock(url, id, block, of: subject)
            } catch let error as StoreError where error.isRetriable && attempt < Self.attemptsOfBlock {
                if error.reason == .forbidden {
                    url = try await writeAddress(path, place, subject)
                } else {
                    try await Self.rest(attempt, error)
                }
                attempt += 1
            }
        }
    }

    /// Before a block is tried again.
    static func rest(_ attempt: Int, _ error: StoreError) async throws {
        var rest = 0.2 * Double(1 << attempt)
        if case .retry(let after?) = error.decision { rest = max(rest, after) }
        try await Task.sleep(for: .seconds(min(rest, longestRest)))
    }

    /// These services write their members in camel case.
    static func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], _ call: MLflowCall, _ service: MLflowService) throws(StoreError) -> T
    {
        do { return try JSONDecoder().decode(type, from: Data(body)) } catch {
            // Not its body: it may hold an address that carries its own authority.
            throw service.failure.malformed(call, WireDecoder.reason(error))
        }
    }
}

/// Cuts a stream into blocks of one size, the last one shorter.
private struct BlockSource {
    private let bytes: ByteStream
    private let size: Int
    private var held: [UInt8] = []

    init(_ bytes: ByteStream, size: Int) {
        self.bytes = bytes
        self.size = size
    }

    mutating func next() async throws -> [UInt8]? {
        held.reserveCapacity(size)
        while held.count < size, let chunk = try await bytes.next() { held += chunk }
        guard !held.isEmpty else { return nil }
        guard held.count > size else {
            defer { held = [] }
            return held
        }
        let block = Array(held.prefix(size))
        held.removeFirst(size)
        return block
    }
}
