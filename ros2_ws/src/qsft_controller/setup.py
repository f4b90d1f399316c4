"""Package of the nodes; `colcon build` calls it."""

from setuptools import find_packages, setup

setup(
    name="qsft_controller",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/qsft_controller"]),
        ("share/qsft_controller", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    # colcon looks here for the test runner; without it `colcon test` ends with status 5.
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    maintainer="vlm-qsft",
    maintainer_email="maintainers@vlm-qsft.invalid",
    description="Nodes that run a Q-SFT policy on an arm.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "controller_node = qsft_controller.controller_node:main",
            "dialogue_node = qsft_controller.dialogue_node:main",
            "recorder_node = qsft_controller.recorder_node:main",
            "sim_robot_node = qsft_controller.sim_robot_node:main",
        ]
    },
)
