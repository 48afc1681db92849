//! Subjects of roots that kits leave the factory with: a store keeps their hashes alone.

/// The subject with this hash, where it is one of those.
pub(super) fn of(hash: &str) -> Option<&'static str> {
    SUBJECTS.iter().find(|(known, _)| *known == hash).map(|(_, subject)| *subject)
}

/// SHA-1 of the values of the subject, and the subject: the roots of the Wi-Fi module's firmware 19.7.7, and Amazon's.
const SUBJECTS: [(&str, &str); 12] = [
    ("a86680c456272eafe3a7ce2e49d131dc65bbb1ed", "C=US, O=Amazon, CN=Amazon Root CA 1"),
    ("1a49c763823a9e3f532df1ba1fbf7eb0130fbb1a", "C=US, O=Amazon, CN=Amazon Root CA 2"),
    ("e7ee465ea39d44681652b7386782c1e44cd9df1a", "C=US, O=Amazon, CN=Amazon Root CA 3"),
    (
        "f53fa20d03923086e7058a404bfbb07118e59e4d",
        "C=IE, O=Baltimore, OU=CyberTrust, CN=Baltimore CyberTrust Root",
    ),
    (
        "e424bcbe77afdea47e5de4d1cae4592236d952ad",
        "C=US, O=DigiCert Inc, OU=www.digicert.com, CN=DigiCert Global Root G2",
    ),
    (
        "52686cd773dc3c7a5a69905c962a9b37c69740ec",
        "OU=GlobalSign ECC Root CA - R4, O=GlobalSign, CN=GlobalSign",
    ),
    ("13500e689ff0e00357fafbeddf9ad74523fb9503", "C=US, O=Google Trust Services LLC, CN=GTS LTSR"),
    ("2ce6992dabde770b311ce33153570980c825c369", "C=US, O=Internet Security Research Group, CN=ISRG Root X1"),
    (
        "c6e3ae92ecf98daa10771fbb9a52c22c97e0034c",
        "C=US, O=Microsoft Corporation, CN=Microsoft RSA Root Certificate Authority 2017",
    ),
    (
        "b80d5ed351523fed853720a0acc0dc1377be160c",
        "C=US, O=VeriSign, Inc., CN=VeriSign Class 3 Public Primary Certification Authority - G5",
    ),
    (
        "ceb9e48e5ef2609f1b36bfe9966deb88350c4cb3",
        "C=BE, O=GlobalSign nv-sa, OU=Root CA, CN=GlobalSign Root CA",
    ),
    (
        "b91dd5c1079339e777a4e9be1c5f2117110c76a3",
        "C=US, ST=Arizona, L=Scottsdale, O=Starfield Technologies, Inc., CN=Starfield Services Root Certificate Authority - G2",
    ),
];
