import Curl
import Replication

/// The files of a workspace's runs and logged models: lists from the tracking service, bytes from the storage behind it, by addresses that it
/// signs.
///
/// As mlflow 3.18 reads them (`store/artifact/databricks_artifact_repo.py`, `databricks_artifacts.proto`). Nothing is written.
struct DatabricksFiles: ArtifactService {
    private let service: MLflowService
    private let addresses = SignedAddresses()

    init(_ service: MLflowService) { self.service = service }

    // MARK: - Listing

    func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry> {
        struct Answer: Decodable {
            var files: [WireFile]?
            var nextPageToken: String?
            var rootUri: String?
        }
        if !path.isEmpty { try check(path, owner) }
        let subject = "the files of \(owner)\(path.isEmpty ? "" : " under \(path)")"
        let token = page.map { [("page_token", $0.rawValue)] } ?? []
        let call: MLflowCall
        switch owner.id {
        case .run(let id):
            let query = [("run_id", id.rawValue)] + (path.isEmpty ? [] : [("path", path)]) + token
            call = .get(MLflowCall.api("artifacts/list"), query, of: subject)
        case .loggedModel(let id):
            let query = (path.isEmpty ? [] : [("artifact_directory_path", path)]) + token
            call = .get(Self.route(id, "directories"), query, of: subject)
        }
        let answer = try service.decode(Answer.self, try await service.send(call), call)
        var result = Page<ArtifactEntry>([])
        for file in answer.files ?? [] {
            let isDirectory = file.isDir ?? false
            let size = file.fileSize?.value ?? 0
            if let fault = ArtifactPath.fault(ofEntry: file.path, under: path) ?? ArtifactPath.fault(ofSize: size) {
                let name = String(file.path.prefix(300))
                result.undecodable.append(Undecodable(kind: owner.kind, id: name, reason: "\(fault): \(name.debugDescription)"))
            } else {
                // The size of an empty file is left out.
                result.elements.append(ArtifactEntry(path: file.path, isDirectory: isDirectory, size: isDirectory ? nil : size))
            }
        }
        await addresses.note(result.elements.filter { !$0.isDirectory }.map(\.path), of: owner.id)
        if let next = answer.nextPageToken.nonEmpty {
            guard next != page?.rawValue else { throw service.failure.malformed(call, "the same page twice") }
            result.next = PageToken(rawValue: next)
        } else if Self.isInVolume(answer.rootUri.nonEmpty ?? owner.root), answer.files?.count ?? 0 >= Self.mostOfVolume {
            result.undecodable.append(
                Undecodable(
                    kind: owner.kind, id: path.isEmpty ? "*" : path + "/*",
                    reason:
                        "of a folder in a volume the workspace lists no more than \(Self.mostOfVolume) entries; what comes after them is unknown"
                ))
        }
        return result
    }

    /// A listing of a volume has one page of at most this many, and does not say whether that was all (databricks-sdk-py 0.162,
    /// `service/ml.py`, `list_artifacts`: "A maximum of 1000 artifacts will be retrieved for UC Volumes").
    private static let mostOfVolume = 1000
    private static func isInVolume(_ root: String) -> Bool {
        guard root.hasPrefix("dbfs:/") else { return false }
        return root.dropFirst(5).drop { $0 == "/" }.hasPrefix("Volumes/")
    }

    private static func route(_ id: LoggedModelID, _ what: String) -> String {
        MLflowCall.api("logged-models/\(PercentEncoding.encode(id.rawValue))/artifacts/\(what)")
    }

    private func check(_ path: String, _ owner: ArtifactOwner) throws(StoreError) {
        guard let fault = ArtifactPath.fault(path) else { return }
        throw StoreError(
            .setAside, .invalid,
            "\(service.failure.store), \(owner): the file \(path.debugDescription.prefix(300)) cannot be asked for: \(fault)")
    }

    // MARK: - Reading

    func readArtifact<R: Sendable>(
        _ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        try check(path, owner)
        let file = file(path, owner)
        do {
            return try await file.read(
                try await address(path, owner, isFresh: false), again: { try await address(path, owner, isFresh: true) }, read)
        } catch is SignedFile.Refused {
            do {
                return try await file.read(
                    try await address(path, owner, isFresh: true), again: { try await address(path, owner, isFresh: true) }, read)
            } catch let refused as SignedFile.Refused {
                throw refused.error
            }
        }
    }

    /// Nil also where storage does not say what it has: who then reads the file is told why.
    func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? {
        try check(path, owner)
        let file = file(path, owner)
        for isFresh in [false, true] {
            guard let url = try await address(path, owner, isFresh: isFresh).copied(allowsHTTP: file.allowsHTTP) else { return nil }
            guard let found = try await file.properties(url) else { continue }
            return ArtifactCopySource(size: found.size, tag: found.tag, md5: found.md5, address: url) {
                try await address(path, owner, isFresh: true).copied(allowsHTTP: file.allowsHTTP)
            }
        }
        return nil
    }

    private func file(_ path: String, _ owner: ArtifactOwner) -> SignedFile {
        SignedFile(
            client: service.client, failure: service.failure, timeout: service.endpoint.requestTimeout,
            allowsHTTP: service.endpoint.baseURL.hasPrefix("http://"), subject: "file \(path) of \(owner)")
    }

    private func address(_ path: String, _ owner: ArtifactOwner, isFresh: Bool) async throws -> SignedAddress {
        let now = BearerTokens.continuousSeconds()
        let found = try await addresses.address(path, of: owner.id, isFresh: isFresh, now: now) { try await ask($0, owner, now) }
        guard let found else {
            throw StoreError(
                .setAside, .malformed, "\(service.failure.store): no address is given for the file \(path) of \(owner), which is listed")
        }
        return found
    }

    private struct Credential: Decodable {
        struct Header: Decodable {
            var name: String
            var value: String
        }
        var path: String?
        var signedUri: String?
        var headers: [Header]?
        var type: String?
        var isOfAzure: Bool { ["AZURE_SAS_URI", "AZURE_ADLS_GEN2_SAS_URI"].contains(type) }
    }

    /// The addresses of some files, by their paths.
    private func ask(_ paths: [String], _ owner: ArtifactOwner, _ now: Double) async throws -> [ExactName: SignedAddress] {
        var found: [ExactName: SignedAddress] = [:]
        var token: String?
        repeat {
            let (credentials, next) = try await page(paths, owner, token)
            for credential in credentials {
                guard let url = credential.signedUri.nonEmpty, let path = paths.count == 1 ? paths[0] : credential.path else {
                    continue
                }
                let headers = (credential.headers ?? []).map { HTTPHeader($0.name, $0.value) }
                found[ExactName(path)] = SignedAddress(url: url, headers: headers, askedAt: now, isOfAzure: credential.isOfAzure)
            }
            guard next == nil || next != token else { break }
            token = next
        } while token != nil
        return found
    }

    private func page(_ paths: [String], _ owner: ArtifactOwner, _ token: String?) async throws -> ([Credential], next: String?) {
        let subject = "the addresses of files of \(owner)"
        switch owner.id {
        case .run(let id):
            struct Body: Encodable, Sendable {
                var runId: String
                var path: [String]
                var pageToken: String?
            }
            struct Answer: Decodable {
                var credentialInfos: [Credential]?
                var nextPageToken: String?
            }
            let call = try MLflowCall.search(
                MLflowCall.api("artifacts/credentials-for-read"), Body(runId: id.rawValue, path: paths, pageToken: token), of: subject)
            let answer = try decode(Answer.self, try await service.send(call), call)
            return (answer.credentialInfos ?? [], answer.nextPageToken.nonEmpty)
        case .loggedModel(let id):
            struct Body: Encodable, Sendable {
                var paths: [String]
                var pageToken: String?
            }
            struct Answer: Decodable {
                struct Holder: Decodable { var credentialInfo: Credential? }
                var credentials: [Holder]?
                var nextPageToken: String?
            }
            let call = try MLflowCall.search(
                Self.route(id, "credentials-for-download"), Body(paths: paths, pageToken: token), of: subject)
            let answer = try decode(Answer.self, try await service.send(call), call)
            return ((answer.credentials ?? []).compactMap(\.credentialInfo), answer.nextPageToken.nonEmpty)
        }
    }

    private func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], _ call: MLflowCall) throws(StoreError) -> T {
        do { return try WireDecoder.decode(type, from: body) } catch {
            // Not its body: it holds addresses that carry their own authority.
            throw service.failure.malformed(call, WireDecoder.reason(error))
        }
    }

    // MARK: - Writing

    func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        throw StoreError(
            .setAside, .unsupported, "\(service.failure.store), \(owner): nothing is written to the files of a Databricks workspace")
    }
}
