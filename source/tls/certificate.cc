#include "source/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "source/base/ids.h"
#include "source/base/status.h"
#include "source/tls/crypto.h"

namespace heddle::tls {
namespace {

bssl::UniquePtr<BIO> Reader(absl::string_view text) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<ossl_ssize_t>(text.size())));
}

std::string NameText(const X509_NAME* name) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  const uint8_t* data;
  size_t size;
  if (!BIO_mem_contents(out.get(), &data, &size)) return "";
  return std::string(reinterpret_cast<const char*>(data), size);
}

absl::Time TimeOf(const ASN1_TIME* time) {
  int64_t seconds;
  return ASN1_TIME_to_posix(time, &seconds) ? absl::FromUnixSeconds(seconds) : absl::InfinitePast();
}

std::string IpText(absl::string_view bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  if (bytes.size() != 4 && bytes.size() != 16) return "";
  return inet_ntop(family, bytes.data(), text, sizeof(text)) != nullptr ? text : "";
}

void ReadSans(X509* certificate, CertificateInfo* info) {
  const bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (size_t i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::vector<std::string>* into;
    switch (name->type) {
      case GEN_URI:
        into = &info->uri_sans;
        break;
      case GEN_DNS:
        into = &info->dns_sans;
        break;
      case GEN_EMAIL:
        into = &info->email_sans;
        break;
      case GEN_IPADD:
        into = &info->ip_sans;
        break;
      default:
        continue;
    }
    const ASN1_STRING* text = name->type == GEN_IPADD ? name->d.iPAddress : name->d.ia5;
    const absl::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                  static_cast<size_t>(ASN1_STRING_length(text)));
    // "good.example\0.evil.example" must equal nothing.
    if (name->type != GEN_IPADD && bytes.find('\0') != bytes.npos) continue;
    into->push_back(name->type == GEN_IPADD ? IpText(bytes) : std::string(bytes));
  }
}

}  // namespace

CRYPTO_BUFFER_POOL* BufferPool() {
  static CRYPTO_BUFFER_POOL* const pool = CRYPTO_BUFFER_POOL_new();
  return pool;
}

std::string TakeErrors() {
  std::string text;
  while (const uint32_t error = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(error);
    absl::StrAppend(
        &text, text.empty() ? "" : ", ",
        reason != nullptr ? absl::AsciiStrToLower(reason) : absl::StrCat("error ", error));
  }
  return text;
}

std::string Sha256(absl::string_view bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), sizeof(digest));
}

absl::StatusOr<std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>> ReadCertificates(
    absl::string_view pem) {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> certificates;
  const bssl::UniquePtr<BIO> in = Reader(pem);
  char* name;
  char* header;
  uint8_t* data;
  long length;  // NOLINT(google-runtime-int): OpenSSL's interface
  while (PEM_read_bio(in.get(), &name, &header, &data, &length)) {
    const bssl::UniquePtr<char> own_name(name), own_header(header);
    const bssl::UniquePtr<uint8_t> own_data(data);
    const absl::string_view kind(name);
    if (kind != PEM_STRING_X509 && kind != PEM_STRING_X509_OLD && kind != PEM_STRING_X509_TRUSTED)
      continue;
    certificates.emplace_back(CRYPTO_BUFFER_new(data, static_cast<size_t>(length), BufferPool()));
    const bssl::UniquePtr<X509> parsed(X509_parse_from_buffer(certificates.back().get()));
    if (parsed == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("certificate ", certificates.size(),
                                                     " of the PEM text is broken: ", TakeErrors()));
    }
  }
  const uint32_t error = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  const std::string why = TakeErrors();
  if (!at_end) return absl::InvalidArgumentError(absl::StrCat("PEM text: ", why));
  if (certificates.empty()) return absl::InvalidArgumentError("no certificate in the PEM text");
  return certificates;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKey(absl::string_view pem) {
  const bssl::UniquePtr<BIO> in = Reader(pem);
  // No password is ever asked for.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("no usable private key in the PEM text: ", TakeErrors()));
  }
  return key;
}

CertificateInfo Describe(X509* certificate, absl::string_view der) {
  CertificateInfo info;
  info.subject = NameText(X509_get_subject_name(certificate));
  info.issuer = NameText(X509_get_issuer_name(certificate));
  const bssl::UniquePtr<BIGNUM> serial(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (serial != nullptr) {
    const bssl::UniquePtr<char> hex(BN_bn2hex(serial.get()));
    info.serial = absl::AsciiStrToLower(hex.get());
  }
  info.not_before = TimeOf(X509_get0_notBefore(certificate));
  info.not_after = TimeOf(X509_get0_notAfter(certificate));
  ReadSans(certificate, &info);
  info.sha256 = base::ToHex(Sha256(der));
  info.is_ca = X509_check_ca(certificate) == 1;
  uint8_t* spki = nullptr;
  const int spki_size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
  if (spki_size > 0) {
    const bssl::UniquePtr<uint8_t> own(spki);
    info.spki_sha256 = absl::Base64Escape(
        Sha256({reinterpret_cast<const char*>(spki), static_cast<size_t>(spki_size)}));
  }
  ERR_clear_error();
  return info;
}

absl::StatusOr<std::vector<CertificateInfo>> ParseCertificates(absl::string_view pem) {
  HEDDLE_ASSIGN_OR_RETURN(const auto certificates, ReadCertificates(pem));
  std::vector<CertificateInfo> infos;
  for (const auto& certificate : certificates) {
    const bssl::UniquePtr<X509> parsed(X509_parse_from_buffer(certificate.get()));
    infos.push_back(Describe(parsed.get(), Der(certificate.get())));
  }
  return infos;
}

absl::StatusOr<CertificateInfo> CheckCertificate(const Certificate& certificate) {
  HEDDLE_ASSIGN_OR_RETURN(const auto chain, ReadCertificates(certificate.chain_pem));
  HEDDLE_ASSIGN_OR_RETURN(const auto key, ReadPrivateKey(certificate.key_pem));
  const bssl::UniquePtr<X509> leaf(X509_parse_from_buffer(chain[0].get()));
  if (!X509_check_private_key(leaf.get(), key.get())) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the private key does not belong to the certificate");
  }
  return Describe(leaf.get(), Der(chain[0].get()));
}

}  // namespace heddle::tls
