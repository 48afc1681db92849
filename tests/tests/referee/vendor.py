"""iotprovision as a referee: Microchip's tool runs unchanged, with a serial port in place of a debugger that is found over USB.

usage: vendor.py PORT NAME ARGUMENT...    iotprovision with these arguments, for a kit on PORT whose USB serial number is NAME
       vendor.py --read IMAGE             what its reader finds in an image of the Wi-Fi module's flash, as JSON
       vendor.py --write PORT THING ENDPOINT CERTIFICATE...
                                          its driver does what a new board needs; prints the seconds that it took
"""

import json
import sys

# The certificate store's place in the flash, and its size.
STORE, SIZE = 0x5000, 0x2000
# A version of the debugger's firmware that nothing is said about.
DEBUGGER = "99.0.0"


def read(image):
    """The files of the certificate store in `image`."""
    from iotprovision.winc.winc_certs import ClientCertStorage

    with open(image, "rb") as file:
        flash = file.read()
    store = ClientCertStorage()
    store.decode(flash[STORE : STORE + SIZE])
    files = [[file.file_name.rstrip("\0"), bytes(file.file_data).hex()] for file in store.files]
    print(json.dumps({"files": files, "end": store.next_file_write_offset}))


def write(port, thing, endpoint, certificates):
    """What iotprovision has its driver do for a new board, without certificates and files of its own."""
    import time

    from iotprovision.firmwareinterface import ProvisioningFirmwareInterface
    from pykitcommander.firmwareinterface import ProvisioningFirmwareDriver
    from pykitcommander.kitmanager import WifiKitLeds

    info = {
        "kit_info": {"serial_port": port, "leds": WifiKitLeds},
        "protocol_baud": 115200,
        "protocol_class": ProvisioningFirmwareDriver,
    }
    begin = time.monotonic()
    with ProvisioningFirmwareInterface(info, None, port=port) as kit:
        kit.ecc_read_serialnumber()
        kit.ecc_read_public_key()
        kit.get_firmware_driver().firmware_command("MC+ECC+SIGNDIGEST", ["64"], "5A" * 32)
        kit.winc_erase_tls_certificate_sector()
        for certificate in certificates:
            kit.winc_add_client_certificate(certificate)
        kit.winc_write_tls_certificates_sector()
        kit.winc_write_thing_name(thing)
        kit.winc_write_endpoint_name(endpoint)
    return time.monotonic() - begin


def run(port, name):
    """iotprovision's own program. What needs a debugger on USB is replaced: finding, programming and resetting the kit."""
    from iotprovision import iotprovision, iotprovision_main, provisioner
    from pykitcommander.firmwareinterface import ProvisioningFirmwareDriver
    from pykitcommander.kitmanager import WifiKitLeds

    kit = {"serialnumber": name, "serial_port": port, "kit_name": "AVR-IoT WG", "programmer_id": "nedbg", "leds": WifiKitLeds}

    class Debugger:
        def __init__(self, _serial_number=None):
            self.kit_info = kit

        def get_kit_info(self):
            return self.kit_info

        def reset_target(self):
            pass

        def reboot(self):
            pass

    def firmware(_function, skip_programming=False, programmer=None):
        return {
            "kit_info": kit,
            "protocol_id": "ProvisioningV2",
            "protocol_baud": 115200,
            "protocol_class": ProvisioningFirmwareDriver,
        }

    iotprovision_main.KitProgrammer = Debugger
    provisioner.setup_kit = firmware
    provisioner.kit_configure_disk_link = lambda **_: True
    provisioner.Provisioner.get_debugger_versions = lambda _: (DEBUGGER, DEBUGGER)
    return iotprovision.main()


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        read(sys.argv[2])
        sys.exit(0)
    if sys.argv[1] == "--write":
        port, thing, endpoint, *certificates = sys.argv[2:]
        # The driver prints what it does.
        out, sys.stdout = sys.stdout, sys.stderr
        seconds = write(port, thing, endpoint, certificates)
        print(seconds, file=out)
        sys.exit(0)
    port, name = sys.argv[1:3]
    sys.argv = ["iotprovision", *sys.argv[3:]]
    sys.exit(run(port, name))
