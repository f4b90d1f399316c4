"""Package of launch files and robot configurations; `colcon build` calls it."""

from glob import glob

from setuptools import find_packages, setup

setup(
    name="qsft_bringup",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/qsft_bringup"]),
        ("share/qsft_bringup", ["package.xml"]),
        ("share/qsft_bringup/launch", sorted(glob("launch/*.launch.py"))),
        ("share/qsft_bringup/config", sorted(glob("config/*"))),
    ],
    install_requires=["setuptools"],
    # colcon looks here for the test runner; without it `colcon test` ends with status 5.
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    maintainer="vlm-qsft",
    maintainer_email="maintainers@vlm-qsft.invalid",
    description="Launch files and robot configurations of vlm-qsft.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "activate_controller = qsft_bringup.activate_controller:main",
            "start = qsft_bringup.start:main",
        ]
    },
)
